package xds

import (
	"testing"
	"testing/synctest"
)

// conform plays scripts against a server, with one aggregated stream, or with one stream for each type.
func conform(t *testing.T, delta, separate bool, scripts map[string]string) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, Options{})
				w.delta, w.separate = delta, separate
				w.play(script)
			})
		})
	}
}

func TestDeltaAggregated(t *testing.T) {
	conform(t, true, false, deltaScripts())
	conform(t, true, false, deltaAggregatedScripts())
}

func TestDeltaSeparate(t *testing.T) {
	conform(t, true, true, deltaScripts())
	conform(t, true, true, deltaSeparateScripts())
}

// deltaScripts need one type at a time only.
func deltaScripts() map[string]string {
	return map[string]string{
		"subscribe by name": `
			set eds a=1 b=1
			ask eds +a
			want eds a=1`,
		"follow an update": `
			set eds a=1 b=1
			ask eds +a +b
			want eds a=1 b=1
			set eds a=2
			want eds a=2`,
	}
}

func deltaAggregatedScripts() map[string]string { return nil }
func deltaSeparateScripts() map[string]string   { return nil }
