package alerting

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a request says, a silence is that of whose token it came with.
func TestSigned(t *testing.T) {
	f := func(posted, want string) {
		t.Helper()
		recorder := httptest.NewRecorder()
		r := signed(recorder, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(posted)), "oncall")
		if want == "" {
			require.Nil(t, r)
			require.Equal(t, http.StatusBadRequest, recorder.Code)
			require.Contains(t, recorder.Body.String(), "the silence cannot be read: ")
			return
		}
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.JSONEq(t, want, string(body))
		require.Equal(t, int64(len(body)), r.ContentLength)
	}
	f(`{"comment":"x"}`, `{"comment":"x","createdBy":"oncall"}`)
	f(`{"createdBy":""}`, `{"createdBy":"oncall"}`)
	f(`{"createdBy":"alice"}`, `{"createdBy":"oncall (alice)"}`)
	f(`{"createdBy":"oncall (alice)"}`, `{"createdBy":"oncall (alice)"}`)
	f(`{"createdBy":"oncallers (x)"}`, `{"createdBy":"oncall (oncallers (x))"}`)
	f(`{"createdBy":7}`, `{"createdBy":"oncall"}`)
	f(`{"CREATEDBY":"alice","id":"1"}`, `{"createdBy":"oncall (alice)","id":"1"}`)
	f(`{"createdBy":"alice"} {}`, `{"createdBy":"oncall (alice)"}`) // the API reads the first value, too
	f(`null`, `null`)                                               // which the API refuses
	f(`[]`, "")
	f(`{"comment":`, "")
	f(`{"comment":"`+strings.Repeat("x", maxSilence)+`"}`, "")
}

func FuzzSigned(f *testing.F) {
	f.Add(`{"createdBy":"alice"}`)
	f.Add(`{"createdby":"alice","CreatedBy":null} x`)
	f.Fuzz(func(t *testing.T, posted string) {
		r := signed(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(posted)), "oncall")
		if r == nil {
			return
		}
		var read *struct{ CreatedBy string }
		require.NoError(t, json.NewDecoder(r.Body).Decode(&read))
		if read != nil {
			require.Regexp(t, `^oncall( \(|$)`, read.CreatedBy)
		}
	})
}
