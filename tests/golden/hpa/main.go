// What does the HorizontalPodAutoscaler of Kubernetes itself make of a load?
//
// `hpa CASES ANSWERS` reads cases (JSON) and writes, for each, the replicas that stood after every sync. All that
// decides is Kubernetes' own: admission (defaults and validation), controller, work queue, metrics client. Ours are
// the ends: an API server without a network, a target that is scaled at once, a metrics API that knows the loads.
// Time is that of testing/synctest: it stands still while anything runs, and leaps to the next timer when nothing does.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Case is one HPA and what happens around it, sync by sync.
type Case struct {
	Name string `json:"name"`
	Hpa  Hpa    `json:"hpa"`
	// Initial is the size of the target before the first sync.
	Initial int32 `json:"initial"`
	// Loads has the total load at each sync; null: the metrics API knows none.
	Loads []*json.Number `json:"loads"`
	// Outside has sizes that somebody else sets before the sync of that index.
	Outside map[int]int32 `json:"outside"`
	// Surge has the pods that the target's status counts beyond its size, as in a rolling update, at that sync.
	Surge map[int]int32 `json:"surge"`
}

// Answer has the size of the target after each sync.
type Answer struct {
	Name  string  `json:"name"`
	Sizes []int32 `json:"sizes"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: hpa CASES ANSWERS")
	}
	klog.SetLogger(logr.Discard()) // what matters comes as an error, and a case fails by it
	cases, err := readCases(os.Args[1])
	if err != nil {
		log.Fatalf("%s: %v", os.Args[1], err)
	}
	// A bubble of synctest wants a test around it, so each case is one, and the last one writes what they found.
	answers := make([]Answer, 0, len(cases))
	tests := make([]testing.InternalTest, 0, len(cases)+1)
	for _, one := range cases {
		tests = append(tests, testing.InternalTest{Name: one.Name, F: func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { answers = append(answers, answer(t, one)) })
		}})
	}
	tests = append(tests, testing.InternalTest{Name: "write", F: func(t *testing.T) { write(t, os.Args[2], answers) }})
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, tests, nil, nil)
}

func readCases(path string) ([]Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var cases []Case
	return cases, decoder.Decode(&cases)
}

func answer(t *testing.T, one Case) Answer {
	sizes, err := replay(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{Name: one.Name, Sizes: sizes}
}

func write(t *testing.T, path string, answers []Answer) {
	text, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
