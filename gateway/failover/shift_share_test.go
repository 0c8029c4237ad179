package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
)

func TestShareBesideWhatWasAsked(t *testing.T) {
	var s Share
	require.Nil(t, s.Report(noon, map[string]uint32{"idc1": 10000})[0].Measured)
	for i := range 100 {
		at := noon.Add(time.Duration(i) * time.Second)
		s.Observe(traffic("idc1", at, 3, 1, 10))
		s.Observe(traffic("idc2", at, 1, 0, 10))
		s.Observe(probes.Evidence{Subject: "idc/idc1/entry", IDC: "idc1", At: at, OK: true})
	}
	report := s.Report(noon.Add(99*time.Second), map[string]uint32{"idc1": 10000, "idc2": 0, "idc3": 0})
	require.Len(t, report, 3)
	require.Equal(t, 100.0, report[0].Asked)
	require.Equal(t, 75.0, *report[0].Measured)
	require.InDelta(t, 3, report[0].Rate, .1)
	require.Empty(t, report[0].Callers)
	require.Equal(t, 25.0, *report[1].Measured)
	require.Equal(t, []Caller{{"192.0.2.1", 15}}, report[1].Callers)
	require.Zero(t, report[2].Requests)
}
