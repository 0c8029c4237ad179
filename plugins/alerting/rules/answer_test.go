package main

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/value"
)

func TestVector(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := readAnswer([]byte(text), "200 OK")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		vector, err := got.vector()
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if diff := cmp.Diff(want, vector.String()); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	// a vector
	f(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"a","b":"c"},"value":[1.5,"2"]},{"metric":{},"value":[1,"+Inf"]}]}}`,
		`{__name__="a", b="c"} => 2 @[1500]`+"\n{} => +Inf @[1000]")
	// none
	f(`{"status":"success","data":{"resultType":"vector","result":[]}}`, "")
	// a scalar
	f(`{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}`, "{} => NaN @[1000]")
}

func TestNoVector(t *testing.T) {
	f := func(text, want string, isRefused bool) {
		t.Helper()
		got, err := readAnswer([]byte(text), "200 OK")
		if err == nil {
			_, err = got.vector()
		}
		var no *refused
		if err == nil || err.Error() != want || errors.As(err, &no) != isRefused {
			t.Errorf("%s: refused %v: %v", text, errors.As(err, &no), err)
		}
	}
	// refusals
	f(`{"status":"error","errorType":"422","error":"no such function"}`, "the storage refuses the query: 422: no such function", true)
	f(`{"status":"success","data":{"resultType":"matrix","result":[]}}`, `the query's result is a "matrix": want a vector or a scalar`, true)
	f(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"histogram":[1,{}]}]}}`,
		"map[a:b] is a native histogram: only floats can be read", true)
	// what is no Prometheus
	f(`<html>hello`, `the storage answers 200 OK and no Prometheus API: "<html>hello"`, false)
	f(`{}`, `the storage answers 200 OK and no Prometheus API: "{}"`, false)
	f(`{"status":"success"}`, "the storage's answer cannot be read: unexpected end of JSON input", false)
}

// A series that ended does not look as if it went on.
func TestNewest(t *testing.T) {
	got, err := readAnswer([]byte(`{"status":"success","data":{"resultType":"matrix","result":[
		{"metric":{"a":"1"},"values":[[1,"1"],[2,"5"]]},{"metric":{"a":"2"},"values":[[1,"1"],[2,"NaN"]]},{"metric":{"a":"3"},"values":[]}]}}`), "")
	if err != nil {
		t.Fatal(err)
	}
	found, err := got.newest()
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	if last := found[0].Floats[0]; last.T != 2000 || last.F != 5 {
		t.Error(last)
	}
	if last := found[1].Floats[0]; last.T != 2000 || math.Float64bits(last.F) != value.StaleNaN {
		t.Error(last)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"2"]}]},"warnings":["x"]}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1e300,"NaN"]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1,"1"],[2]]}]}}`))
	f.Add([]byte(`{"status":"success","data":["a","b"],"isPartial":true}`))
	f.Add([]byte(`{"status":"error"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readAnswer(text, "200 OK")
		if err != nil {
			return
		}
		_ = got.warning()
		if vector, err := got.vector(); err == nil {
			for _, sample := range vector {
				_ = sample.String()
			}
		}
		_, _ = got.newest()
		_, _ = got.names()
	})
}
