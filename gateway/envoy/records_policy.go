package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// recordPolicy says which entries become records: the failed ones, and a share of all. The zero value: none.
type recordPolicy struct {
	failed bool
	share  float64 // 0 to 1
}

// parseRecordPolicy reads none, errors, all, or a ratio above 0 and up to 1, which keeps all errors besides.
func parseRecordPolicy(s string) (recordPolicy, error) {
	switch s {
	case "none":
		return recordPolicy{}, nil
	case "errors":
		return recordPolicy{failed: true}, nil
	case "all":
		return recordPolicy{failed: true, share: 1}, nil
	}
	share, err := strconv.ParseFloat(s, 64)
	if err != nil || !(share > 0 && share <= 1) { // so written that NaN is refused
		return recordPolicy{}, fmt.Errorf("access_logs: %q: must be none, errors, all, or a ratio above 0 and up to 1, such as 0.01", s)
	}
	return recordPolicy{failed: true, share: share}, nil
}

func (p recordPolicy) chooses(o *mesh.Observed) bool {
	switch {
	case o.Failed && p.failed, p.share == 1:
		return true
	case p.share == 0:
		return false
	}
	return float64(requestHash(o.Raw)>>11)/(1<<53) < p.share
}

// requestHash is the same for both reporters of a request, and for all gateways: the request id's, which both Envoys log. An entry
// without any is hashed as a whole.
func requestHash(entry []byte) uint64 {
	id := lastField(lastField(entry, 3), 9) // request.request_id
	if len(id) == 0 {
		id = lastField(lastField(entry, 1), 26) // common_properties.stream_id
	}
	if len(id) == 0 {
		id = entry
	}
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd // its high bits alone are too even
	return h ^ h>>33
}

// lastField is the last occurrence of a length-delimited field; nil without, and of a malformed message.
func lastField(message []byte, number protowire.Number) (last []byte) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil
		}
		message = message[size:]
		if size = protowire.ConsumeFieldValue(n, kind, message); size < 0 {
			return nil
		}
		if n == number && kind == protowire.BytesType {
			last, _ = protowire.ConsumeBytes(message)
		}
		message = message[size:]
	}
	return last
}

// recordAttribute is one of record_attributes.
type recordAttribute struct {
	name string
	AttributeConfig
}

// recordAttributes sorts them by name. Envoy logs the names of headers in lower case.
func recordAttributes(configs map[string]AttributeConfig) []recordAttribute {
	var all []recordAttribute
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		c := configs[name]
		c.Header = strings.ToLower(c.Header)
		all = append(all, recordAttribute{name, c})
	}
	return all
}

// validateRecords returns the mistakes of access_logs and record_attributes.
func (c *Config) validateRecords() []error {
	var errs []error
	if _, err := parseRecordPolicy(c.AccessLogs); err != nil {
		errs = append(errs, err)
	}
	for _, a := range recordAttributes(c.RecordAttributes) {
		set := 0
		for _, source := range [...]string{a.Metadata, a.Header, a.Tag} {
			if source != "" {
				set++
			}
		}
		if set != 1 {
			errs = append(errs, fmt.Errorf("record_attributes::%s: set one of metadata, header and tag", a.name))
		}
		if a.name == "" || len(a.name) > maxAttributeName {
			errs = append(errs, fmt.Errorf("record_attributes: %q: a name has 1 to %d bytes", a.name, maxAttributeName))
		}
	}
	return errs
}
