// Package snowplow stands for what sends billing events. The runner does that where its configuration says so, in
// `[experimental.usage_logger]`; that of a test does not.
package snowplow

import (
	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/gitlab-org/labkit/v2/events/snowplow/metrics"
	"gitlab.com/gitlab-org/labkit/v2/events/snowplow/oidc"
)

type SendResult struct {
	EventCount, StatusCode int
	Err                    error
}

type (
	SendCallback  func([]SendResult, []SendResult)
	Emitter       struct{}
	Tracker       struct{}
	EmitterOption func(*Emitter)
)

type BillingEventRequiredInput struct {
	Category, EventType, Realm, UnitOfMeasure string
	Quantity                                  float64
}

type BillingEventOptionalInput struct {
	Subject, DeploymentType                                                   string
	Metadata                                                                  map[string]any
	NamespaceID, RootNamespaceID, ProjectID, OrganizationID                   int64
	InstanceID, UniqueInstanceID, HostName, CorrelationID, EventID, SubjectID string
}

func WithCallback(SendCallback) EmitterOption {
	panic("a stub was reached: labkit/snowplow.WithCallback")
}

func WithTokenSource(*oidc.Source) EmitterOption {
	panic("a stub was reached: labkit/snowplow.WithTokenSource")
}

func WithMetricsCollectorOptions(...metrics.CollectorOption) EmitterOption {
	panic("a stub was reached: labkit/snowplow.WithMetricsCollectorOptions")
}

func NewEmitter(string, ...EmitterOption) (*Emitter, error) {
	panic("a stub was reached: labkit/snowplow.NewEmitter")
}

func NewTracker(string, *Emitter) (*Tracker, error) {
	panic("a stub was reached: labkit/snowplow.NewTracker")
}

func (*Emitter) Collector() prometheus.Collector {
	panic("a stub was reached: labkit/snowplow.Emitter.Collector")
}

func (*Emitter) Stop() { panic("a stub was reached: labkit/snowplow.Emitter.Stop") }

func (*Tracker) TrackBillingEventWithOptionalInput(BillingEventRequiredInput, BillingEventOptionalInput) error {
	panic("a stub was reached: labkit/snowplow.TrackBillingEventWithOptionalInput")
}

func (*Tracker) Stop() { panic("a stub was reached: labkit/snowplow.Tracker.Stop") }
