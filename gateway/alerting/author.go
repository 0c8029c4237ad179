package alerting

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxSilence is how long a silence may be as it is posted.
const maxSilence = 1 << 20

// signed has a silence that is posted say who made it: the name of the token or certificate, and behind that whom the request names, such as the
// user of a Grafana that many share a token by. It answers what is no silence; then it returns nil.
func signed(w http.ResponseWriter, r *http.Request, who string) *http.Request {
	var silence map[string]json.RawMessage
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSilence)).Decode(&silence)
	said := ""
	for name, value := range silence {
		if strings.EqualFold(name, "createdBy") { // as the API reads names
			_ = json.Unmarshal(value, &said) // what is no text says nothing
			delete(silence, name)
		}
	}
	var body []byte
	if err == nil && silence != nil {
		silence["createdBy"], err = json.Marshal(authorOf(who, said))
	}
	if err == nil {
		body, err = json.Marshal(silence)
	}
	if err != nil {
		http.Error(w, "the silence cannot be read: "+err.Error(), http.StatusBadRequest)
		return nil
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r
}

func authorOf(who, said string) string {
	switch {
	case said == "" || said == who:
		return who
	case strings.HasPrefix(said, who+" ("): // a silence that is posted again
		return said
	}
	return who + " (" + said + ")"
}
