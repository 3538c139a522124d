package main

import (
	"context"
	"errors"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/scale"
	custom "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"
)

// latency of the metrics API. A sync that takes any time at all makes what was done n syncs ago a little older than
// n periods; without it the edges of windows would fall as they never do in a cluster.
const latency = time.Millisecond

var errMissing = errors.New("nothing is known of the load")

// target is what is scaled. The controller reads its scale at the beginning of every sync, and that drives the case.
type target struct {
	scale.ScaleInterface
	Case
	size  int32
	sync  int
	sizes []int32
	done  chan struct{}
}

func (t *target) Scales(string) scale.ScaleInterface { return t }

// Get begins a sync: what the last one left is noted, and what others did in between is done.
func (t *target) Get(
	ctx context.Context, _ schema.GroupResource, _ string, _ metav1.GetOptions,
) (*autoscalingv1.Scale, error) {
	if t.sync > 0 {
		t.sizes = append(t.sizes, t.size)
	}
	if t.sync == len(t.Loads) {
		close(t.done)
		<-ctx.Done()
		return nil, errMissing
	}
	if size, ok := t.Outside[t.sync]; ok {
		t.size = size
	}
	scale := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: t.size},
		Status:     autoscalingv1.ScaleStatus{Replicas: t.size + t.Surge[t.sync], Selector: "app=" + name},
	}
	t.sync++
	return scale, nil
}

func (t *target) Update(
	_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions,
) (*autoscalingv1.Scale, error) {
	t.size = scale.Spec.Replicas
	return scale, nil
}

// load is the total at the sync that runs.
func (t *target) load() (resource.Quantity, error) {
	time.Sleep(latency)
	load := t.Loads[t.sync-1]
	if load == nil {
		return resource.Quantity{}, errMissing
	}
	return resource.ParseQuantity(load.String())
}

type externalMetrics struct{ *target }

func (m externalMetrics) NamespacedMetrics(string) external_metrics.MetricsInterface { return m }

func (m externalMetrics) List(string, labels.Selector) (*external.ExternalMetricValueList, error) {
	load, err := m.load()
	if err != nil {
		return nil, err
	}
	value := external.ExternalMetricValue{MetricName: metric, Value: load}
	return &external.ExternalMetricValueList{Items: []external.ExternalMetricValue{value}}, nil
}

type objectMetrics struct{ *target }

func (m objectMetrics) RootScopedMetrics() custom_metrics.MetricsInterface { return m }

func (m objectMetrics) NamespacedMetrics(string) custom_metrics.MetricsInterface { return m }

func (m objectMetrics) GetForObject(schema.GroupKind, string, string, labels.Selector) (*custom.MetricValue, error) {
	load, err := m.load()
	if err != nil {
		return nil, err
	}
	return &custom.MetricValue{Value: load}, nil
}

func (m objectMetrics) GetForObjects(
	schema.GroupKind, labels.Selector, string, labels.Selector,
) (*custom.MetricValueList, error) {
	return nil, errors.New("no metric of the cases is one of pods")
}
