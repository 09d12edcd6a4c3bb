// Package ast stands for the syntax of these expressions: the runner asks of an expression which inputs it reads.
package ast

type Expr interface{ Walk(Visitor) (Expr, error) }

type Visitor interface {
	Enter(Expr) (Visitor, error)
	Exit(Expr) (Expr, error)
}

type Template struct{}

func (*Template) Walk(Visitor) (Expr, error) { panic("a stub was reached: moa/ast.Template.Walk") }

type Selector struct {
	From   Expr
	Select Expr
}

func (*Selector) Walk(Visitor) (Expr, error) { panic("a stub was reached: moa/ast.Selector.Walk") }
