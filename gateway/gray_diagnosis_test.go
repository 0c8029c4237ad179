package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
)

// toldOf sees that the story of each has been told when it was drained, and whole when it was back: how its callers failed, and when the last request
// went to it.
func (f *grayFleet) toldOf(t *testing.T, apps []*grayApp) {
	t.Helper()
	all := f.events(t, "diagnosis")
	for _, a := range apps {
		other := func(e failover.Event) bool { return e.Subject != "endpoint/"+a.address }
		told := slices.DeleteFunc(slices.Clone(all), other)
		require.GreaterOrEqual(t, len(told), 2, a.name)
		begins, ends := told[0].Diagnosis, told[1].Diagnosis
		require.True(t, begins.Back.IsZero(), told[0].What)
		require.True(t, ends.Drained && ends.Back.After(ends.Out) && ends.Out.Equal(begins.Out) && ends.Failing.Before(ends.Out), told[1].What)
		require.Equal(t, [2]int{1, 1}, [2]int{ends.Endpoints, ends.Clusters}, told[1].What)
		require.GreaterOrEqual(t, ends.Failures, begins.Failures)
		require.Positive(t, ends.Flags[a.how], told[1].What)
		t.Logf("%s: the last request is told %v after it came: %s", a.name, ends.Last.Sub(a.left).Round(time.Millisecond), told[1].What)
		require.Less(t, ends.Last.Sub(a.left).Abs(), 5*time.Second)
	}
}
