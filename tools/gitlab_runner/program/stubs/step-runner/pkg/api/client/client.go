// Package client stands for how the runner asks for steps to be run. The runner has how such a job ended among the ways
// in which any job ends, so there are constants and types only.
package client

import (
	"time"

	"google.golang.org/grpc"
)

type State int

const (
	StateSuccess State = iota + 1
	StateCancelled
	StateFailure
)

func (State) String() string { panic("a stub was reached: step-runner/client.State.String") }

type ErrorKind int

const (
	ErrorUnknown ErrorKind = iota
	ErrorInternal
	ErrorStepFailure
	ErrorCancelled
	ErrorTimeout
)

type Status struct {
	State     State
	Message   string
	ErrorKind ErrorKind
}

type Variable struct {
	Key, Value   string
	File, Masked bool
}

type RunRequest struct {
	Id, WorkDir, BuildDir, Steps string
	Env                          map[string]string
	Variables                    []Variable
	Timeout                      *time.Duration
}

type Dialer interface {
	Dial() (*grpc.ClientConn, error)
}
