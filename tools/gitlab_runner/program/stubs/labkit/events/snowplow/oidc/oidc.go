// Package oidc stands for how a runner of GitLab.com proves who it is to what takes its billing events.
package oidc

type (
	Option func(*Source)
	Source struct{}
)

func WithSkipIfUnsupportedCloud(bool) Option {
	panic("a stub was reached: labkit/oidc.WithSkipIfUnsupportedCloud")
}

func NewSource(...Option) *Source { panic("a stub was reached: labkit/oidc.NewSource") }
