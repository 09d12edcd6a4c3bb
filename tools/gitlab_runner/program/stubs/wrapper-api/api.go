// Package api stands for how a program that wraps the runner, `gitlab-runner wrapper`, is told to stop it.
package api

import "errors"

type Status int

const (
	StatusUnknown Status = iota
	StatusRunning
	StatusInShutdown
	StatusStopped
)

func (Status) String() string { panic("a stub was reached: wrapper-api.Status.String") }

var ErrProcessNotInitialized = errors.New("process not initialized")

type ShutdownCallbackDef interface {
	URL() string
	Method() string
}

type InitGracefulShutdownRequest interface{ ShutdownCallbackDef() ShutdownCallbackDef }

type ShutdownCallback interface{ Run(any) }

func NewShutdownCallback(any, ShutdownCallbackDef) ShutdownCallback {
	panic("a stub was reached: wrapper-api.NewShutdownCallback")
}
