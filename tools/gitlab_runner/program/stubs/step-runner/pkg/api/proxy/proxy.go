// Package proxy stands for what connects an executor to the program that runs steps in its container.
package proxy

import "io"

func Proxy(io.Reader, io.Writer, io.ReadWriter) error {
	panic("a stub was reached: step-runner/proxy.Proxy")
}
