// Package fields stands for the names of fields in the runner's own log. None of them is renamed here.
package fields

const (
	DurationS      = "duration_s"
	HTTPStatusCode = "status"
)

type Deprecation struct{ Standard string }

var (
	Deprecated     = map[string]Deprecation{}
	VariantVersion = map[string]int{}
)
