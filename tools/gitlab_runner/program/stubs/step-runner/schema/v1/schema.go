// Package schema stands for the steps of a job, the keyword `run`: a job has a field for them, which is empty here.
package schema

type StepInputs map[string]any

type StepEnv map[string]string

type Step struct {
	Name   *string    `json:"name,omitempty" yaml:"name,omitempty"`
	Step   any        `json:"step,omitempty" yaml:"step,omitempty"`
	Inputs StepInputs `json:"inputs,omitempty" yaml:"inputs,omitempty"`
	Env    StepEnv    `json:"env,omitempty" yaml:"env,omitempty"`
	Run    []Step     `json:"run,omitempty" yaml:"run,omitempty"`
}
