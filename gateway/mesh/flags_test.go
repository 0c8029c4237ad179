package mesh

import (
	"slices"
	"strings"
	"testing"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
)

// FuzzFlags holds the walk of ResponseFlags to Envoy's generated types, and the label to a set: sorted, each name once,
// whatever the order of the fields.
func FuzzFlags(f *testing.F) {
	for _, flags := range []*accesslogdatav3.ResponseFlags{
		{},
		{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true},
		{UnauthorizedDetails: &accesslogdatav3.ResponseFlags_Unauthorized{Reason: accesslogdatav3.ResponseFlags_Unauthorized_EXTERNAL_SERVICE}},
		{DnsResolutionFailure: true, DownstreamRemoteReset: true},
	} {
		b, err := proto.Marshal(flags)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{6 << 3, 1, 6 << 3, 0})                                   // taken back
	f.Add([]byte{16<<3&0x7f | 0x80, 16 << 3 >> 7, 0x80, 0x01, 6 << 3, 1}) // true as 128, out of order
	f.Fuzz(func(t *testing.T, b []byte) {
		var oracle accesslogdatav3.ResponseFlags
		var walk Flags
		walked := walk.walkFlags(b)
		if proto.Unmarshal(b, &oracle) != nil {
			return
		}
		if !walked {
			if slices.ContainsFunc(b, func(c byte) bool { return c&7 == 3 || c&7 == 4 }) {
				return // a group, which no encoder of Envoy's writes
			}
			t.Fatal("the walk refuses what the generated types read")
		}
		if want := oracleFlags(&oracle); walk != want {
			t.Fatalf("%v, want %v", walk, want)
		}
		names := walk.Names()
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || slices.Contains(names, "") {
			t.Fatalf("%v", names)
		}
		if text := walk.String(); text != "-" && text != strings.Join(names, ",") || (text == "-") != (walk == 0) {
			t.Fatalf("%q of %v", text, names)
		}
	})
}
