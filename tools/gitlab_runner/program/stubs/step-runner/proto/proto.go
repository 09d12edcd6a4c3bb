// Package proto stands for the messages of the program that runs steps: functions of the runner are described in them.
package proto

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"
)

type ValueType int

const (
	ValueType_string ValueType = iota
	ValueType_array
	ValueType_boolean
)

type Spec_Content_Input struct {
	Type        ValueType
	Description string
	Default     *structpb.Value
	Sensitive   bool
}

type Spec_Content struct {
	Inputs map[string]*Spec_Content_Input
}

func (*Spec_Content) GetInputs() map[string]*Spec_Content_Input {
	panic("a stub was reached: step-runner/proto.GetInputs")
}

type Spec struct{ Spec *Spec_Content }

func (*Spec) GetSpec() *Spec_Content { panic("a stub was reached: step-runner/proto.GetSpec") }

type StepRunnerServer interface{}

func RegisterStepRunnerServer(grpc.ServiceRegistrar, StepRunnerServer) {
	panic("a stub was reached: step-runner/proto.RegisterStepRunnerServer")
}
