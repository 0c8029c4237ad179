package victoria

import (
	"strings"
	"testing"
)

func TestHostReadsTheLog(t *testing.T) {
	var out strings.Builder
	for _, line := range []string{"info\ta.go:1\tstarted\n", "warn\ta.go:2\tslow\n", "error\ta.go:3\tbad\n", "fatal\ta.go:4\tno disk\n"} {
		if n, err := (lines{"VictoriaMetrics", &out}).Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
	want := "[INFO] VictoriaMetrics: started (a.go:1)\n[WARN] VictoriaMetrics: slow (a.go:2)\n" +
		"[ERROR] VictoriaMetrics: bad (a.go:3)\n[ERROR] VictoriaMetrics: no disk (a.go:4)\n"
	if out.String() != want {
		t.Errorf("got %s", &out)
	}
}
