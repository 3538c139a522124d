package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	kubectrlmgrconfig "k8s.io/kube-controller-manager/config/v1alpha1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	config "k8s.io/kubernetes/pkg/controller/podautoscaler/config/v1alpha1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// replay runs the controller as kube-controller-manager does, until the target has seen every sync.
func replay(ctx context.Context, one Case) ([]int32, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hpa, err := admitted(one.Hpa)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", one.Name, err)
	}
	var unexpected []error
	utilruntime.ErrorHandlers = []utilruntime.ErrorHandler{func(_ context.Context, err error, _ string, _ ...any) {
		if !strings.Contains(err.Error(), errMissing.Error()) { // the controller wraps by words only
			unexpected = append(unexpected, err)
		}
	}}
	target := &target{Case: one, size: one.Initial, done: make(chan struct{})}
	client := fake.NewSimpleClientset(hpa) // NewClientset also knows apply: 427 cases took 103 s with it, not 3
	factory := informers.NewSharedInformerFactory(client, 0)
	settings := kubectrlmgrconfig.HPAControllerConfiguration{}
	config.RecommendedDefaultHPAControllerConfiguration(&settings)
	controller := podautoscaler.NewHorizontalController(
		ctx,
		client.CoreV1(),
		target,
		client.AutoscalingV2(),
		deployments(),
		metrics.NewRESTMetricsClient(nil, objectMetrics{target}, externalMetrics{target}),
		factory.Autoscaling().V2().HorizontalPodAutoscalers(),
		factory.Core().V1().Pods(),
		settings.HorizontalPodAutoscalerSyncPeriod.Duration,
		settings.HorizontalPodAutoscalerDownscaleStabilizationWindow.Duration,
		settings.HorizontalPodAutoscalerTolerance,
		settings.HorizontalPodAutoscalerCPUInitializationPeriod.Duration,
		settings.HorizontalPodAutoscalerInitialReadinessDelay.Duration,
	)
	factory.Start(ctx.Done())
	var running sync.WaitGroup
	running.Go(func() { controller.Run(ctx, 1) })
	<-target.done
	stop()
	running.Wait()
	factory.Shutdown()
	return target.sizes, errors.Join(unexpected...)
}

func deployments() meta.RESTMapper {
	version := schema.GroupVersion{Group: "apps", Version: "v1"}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{version})
	mapper.Add(version.WithKind("Deployment"), meta.RESTScopeNamespace)
	return mapper
}
