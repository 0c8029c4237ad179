package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// delegation is the block of DELEGATION.md that begins so.
func delegation(t *testing.T, begins string) string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, "dns/DELEGATION.md"), "\n"+begins)
	require.True(t, found, begins)
	text, _, _ = strings.Cut(begins+text, "```")
	return text
}

// delegatingRecords are those that the page has for the zone file of the parent.
func delegatingRecords(t *testing.T) (records []dns.RR) {
	t.Helper()
	parser := dns.NewZoneParser(strings.NewReader(delegation(t, "gslb ")), "example.com.", "")
	for record, ok := parser.Next(); ok; record, ok = parser.Next() {
		records = append(records, record)
	}
	require.NoError(t, parser.Err())
	require.Len(t, records, 4)
	return records
}

// The change batch for Route 53 has the fields that its API has, and delegates to the name servers that the configuration beside it names.
func TestDelegationInRoute53(t *testing.T) {
	var batch struct {
		Comment string
		Changes []struct {
			Action            string
			ResourceRecordSet struct {
				Name, Type      string
				TTL             uint32
				ResourceRecords []struct{ Value string }
			}
		}
	}
	decoder := json.NewDecoder(strings.NewReader(delegation(t, `{"Changes"`)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&batch))
	addresses, servers := map[string]string{}, map[string]bool{}
	for _, change := range batch.Changes {
		require.Equal(t, "UPSERT", change.Action)
		set := change.ResourceRecordSet
		for _, value := range set.ResourceRecords {
			record, err := dns.NewRR(set.Name + ". " + set.Type + " " + value.Value)
			require.NoError(t, err)
			switch record := record.(type) {
			case *dns.A:
				addresses[record.Hdr.Name] = record.A.String()
			case *dns.NS:
				require.Equal(t, "gslb.example.com.", record.Hdr.Name)
				servers[record.Ns] = true
			}
		}
	}
	for _, record := range delegatingRecords(t) { // the same servers, by other names
		if a, ok := record.(*dns.A); ok {
			name := strings.Replace(a.Hdr.Name, ".gslb", "-gslb", 1)
			require.Equal(t, a.A.String(), addresses[name])
			require.True(t, servers[name], name)
		}
	}
	// and the configuration that goes with it
	page := readFile(t, "dns/DELEGATION.md")
	names := regexp.MustCompile("`(ns: \\{.*\\[\\]\\})`").FindStringSubmatch(page)
	require.NotNil(t, names)
	for server := range servers {
		require.Contains(t, names[1], strings.TrimSuffix(server, ".")+": []")
	}
	config := regexp.MustCompile(`ns: \{.*\}`).ReplaceAllLiteralString(delegation(t, "extensions:\n"), names[1])
	require.Contains(t, config, names[1])
	code, out, stderr := call(t, "validate", "--config", writeFile(t, config))
	require.Zero(t, code, out+stderr)
}
