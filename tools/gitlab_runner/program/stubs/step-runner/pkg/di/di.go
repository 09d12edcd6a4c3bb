// Package di stands for the parts of the program that runs steps, which the runner can also be itself.
package di

import (
	"gitlab.com/gitlab-org/step-runner/pkg/runner"
	"gitlab.com/gitlab-org/step-runner/proto"
)

type Container struct{}

func NewContainer(...func(*Container)) *Container {
	panic("a stub was reached: step-runner/di.NewContainer")
}

func WithBuiltinFunc(string, runner.BuiltinFunction) func(*Container) {
	panic("a stub was reached: step-runner/di.WithBuiltinFunc")
}

func WithOperatorLogger[T any](T) func(*Container) {
	panic("a stub was reached: step-runner/di.WithOperatorLogger")
}

func (*Container) StepRunnerService() (proto.StepRunnerServer, error) {
	panic("a stub was reached: step-runner/di.StepRunnerService")
}
