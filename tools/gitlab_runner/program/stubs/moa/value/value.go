// Package value stands for the values of these expressions: the inputs of a job are such values.
package value

import (
	"errors"
	"iter"
)

type Kind string

const (
	NullKind   Kind = "null"
	StringKind Kind = "string"
	NumberKind Kind = "number"
	BoolKind   Kind = "bool"
	ArrayKind  Kind = "array"
	ObjectKind Kind = "object"
)

var (
	ErrAttributeNotFound = errors.New("attribute not found")
	ErrInvalidKey        = errors.New("invalid key")
)

type Value struct{}

type Mapper interface {
	All() iter.Seq2[Value, Value]
	Attr(string) (Value, error)
	Get(Value) (Value, error)
	Keys() iter.Seq[Value]
	Len() int
	Values() iter.Seq[Value]
	WithMarks(uint16) Mapper
}

func Null() Value         { panic("a stub was reached: moa/value.Null") }
func String(string) Value { panic("a stub was reached: moa/value.String") }
func Object(Mapper) Value { panic("a stub was reached: moa/value.Object") }

func (Value) Kind() Kind                   { panic("a stub was reached: moa/value.Kind") }
func (Value) String() string               { panic("a stub was reached: moa/value.String") }
func (Value) WithMarks(uint16) Value       { panic("a stub was reached: moa/value.WithMarks") }
func (Value) HasMarks(uint16) bool         { panic("a stub was reached: moa/value.HasMarks") }
func (*Value) UnmarshalJSON([]byte) error  { panic("a stub was reached: moa/value.UnmarshalJSON") }
func (Value) MarshalJSON() ([]byte, error) { panic("a stub was reached: moa/value.MarshalJSON") }
