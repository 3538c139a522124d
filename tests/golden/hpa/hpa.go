package main

import (
	"encoding/json"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install" // its defaults and conversions
	"k8s.io/kubernetes/pkg/apis/autoscaling/validation"
)

const (
	namespace = "golden"
	name      = "web"
	metric    = "load"
)

// Hpa is the part of an HPA's spec that the cases vary. Kind is that of its metric: External or Object.
type Hpa struct {
	MinReplicas  int32                                          `json:"minReplicas"`
	MaxReplicas  int32                                          `json:"maxReplicas"`
	Kind         autoscalingv2.MetricSourceType                 `json:"kind"`
	AverageValue json.Number                                    `json:"averageValue"`
	Behavior     *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
}

// admitted is the object as the API server would have stored it.
func admitted(asked Hpa) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	spec, err := metricSpec(asked)
	if err != nil {
		return nil, err
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, ResourceVersion: "1"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: deploymentRef(),
			MinReplicas:    &asked.MinReplicas,
			MaxReplicas:    asked.MaxReplicas,
			Metrics:        []autoscalingv2.MetricSpec{spec},
			Behavior:       asked.Behavior,
		},
	}
	legacyscheme.Scheme.Default(hpa)
	internal := &autoscaling.HorizontalPodAutoscaler{}
	if err := legacyscheme.Scheme.Convert(hpa, internal, nil); err != nil {
		return nil, err
	}
	options := validation.HorizontalPodAutoscalerSpecValidationOptions{MinReplicasLowerBound: 1} // HPAScaleToZero is off
	if refusals := validation.ValidateHorizontalPodAutoscaler(internal, options); len(refusals) > 0 {
		return nil, fmt.Errorf("the API server would refuse it: %w", refusals.ToAggregate())
	}
	return hpa, nil
}

func metricSpec(asked Hpa) (autoscalingv2.MetricSpec, error) {
	average, err := resource.ParseQuantity(asked.AverageValue.String())
	if err != nil {
		return autoscalingv2.MetricSpec{}, fmt.Errorf("averageValue %s: %w", asked.AverageValue, err)
	}
	identifier := autoscalingv2.MetricIdentifier{Name: metric}
	target := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &average}
	spec := autoscalingv2.MetricSpec{Type: asked.Kind}
	switch asked.Kind {
	case autoscalingv2.ExternalMetricSourceType:
		spec.External = &autoscalingv2.ExternalMetricSource{Metric: identifier, Target: target}
	case autoscalingv2.ObjectMetricSourceType:
		spec.Object = &autoscalingv2.ObjectMetricSource{
			DescribedObject: deploymentRef(), Metric: identifier, Target: target,
		}
	default:
		return spec, fmt.Errorf("kind %q is neither External nor Object", asked.Kind)
	}
	return spec, nil
}

func deploymentRef() autoscalingv2.CrossVersionObjectReference {
	return autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}
}
