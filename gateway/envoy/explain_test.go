package envoy

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExplainFlags(t *testing.T) {
	f := func(query string, flags []string, together int) {
		t.Helper()
		recorder := httptest.NewRecorder()
		explainFlags(recorder, httptest.NewRequest("GET", "/api/v1/explain?"+query, nil))
		require.Equal(t, 200, recorder.Code)
		var answer explained
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
		got := []string{}
		for _, e := range answer.Flags {
			require.NotEmpty(t, e.Meaning)
			got = append(got, e.Flag)
		}
		require.Equal(t, flags, got)
		require.Len(t, answer.Together, together)
	}
	f("flags=UF", []string{"UF"}, 0)
	f("flags=uf,URX", []string{"UF", "URX"}, 1)
	f("flags=%3Cscript%3E,UF", []string{"UF"}, 0)
	f("", []string{}, 0)
	f("flags="+strings.Repeat("x,", 10_000), []string{}, 0)
}
