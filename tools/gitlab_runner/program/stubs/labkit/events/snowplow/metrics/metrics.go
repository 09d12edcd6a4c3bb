// Package metrics stands for the metrics of billing events.
package metrics

type CollectorOption func()

func WithCollectorNamespace(string) CollectorOption {
	panic("a stub was reached: labkit/metrics.WithCollectorNamespace")
}

func WithCollectorBatchDeliveryDurationBuckets([]float64) CollectorOption {
	panic("a stub was reached: labkit/metrics.WithCollectorBatchDeliveryDurationBuckets")
}
