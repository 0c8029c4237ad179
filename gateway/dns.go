package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// isDNSName tells that a word is a DNS name and not something of Envoy's: flags have no dots, and details have a form of their own.
func isDNSName(word string) bool {
	_, isDetail := mesh.ExplainDetails(word)
	return !isDetail && regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\.?$`).MatchString(word)
}

// explainedName is what a gateway says of a name (/api/v1/dns/explain), as far as it is shown.
type explainedName struct {
	Name, Zone, Answer string
	TTL                uint32
	Serial             uint32
	Version            uint64
	At                 time.Time
	Degraded           bool
	IDCs               []struct {
		IDC       string
		Entry     uint32
		Share     map[string]float64
		Answered  map[string]uint64
		Addresses []string
		Why       string
	}
}

// explainNames asks the gateway why it answers names as it does.
func explainNames(ctx context.Context, gateway *remote, names []string, asJSON bool, out io.Writer) error {
	for i, name := range names {
		response, err := gateway.get(ctx, "/api/v1/dns/explain", url.Values{"name": {name}})
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return fmt.Errorf("the gateway went away: %w", err)
		}
		var answer explainedName
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("not an explanation of a name: %w", err)
		}
		if asJSON {
			_, err = out.Write(body)
		} else {
			if i > 0 {
				fmt.Fprintln(out)
			}
			err = answer.write(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write writes for people.
func (a *explainedName) write(out io.Writer) error {
	fmt.Fprintf(out, "%s  %s\n", printable(a.Name), printable(a.Answer))
	if a.Zone == "" {
		return nil
	}
	fmt.Fprintf(out, "  zone %s, serial %d", printable(a.Zone), a.Serial)
	if a.TTL > 0 {
		fmt.Fprintf(out, ", TTL %ds", a.TTL)
	}
	if a.Version > 0 {
		fmt.Fprintf(out, ", as decided at %s (version %d)", a.At.Local().Format(time.DateTime), a.Version)
	}
	if a.Degraded {
		fmt.Fprint(out, "; degraded: it is not what people asked for, and TTLs are halved")
	}
	fmt.Fprintln(out)
	if len(a.IDCs) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  IDC\tWEIGHT\tSHARE\tANSWERED\tADDRESSES\tWHY")
	for _, idc := range a.IDCs {
		fmt.Fprintf(table, "  %s\t%g%%\t%s\t%s\t%s\t%s\n", printable(idc.IDC), float64(idc.Entry)/100,
			byType(idc.Share, func(share float64) string { return strconv.FormatFloat(share, 'g', 4, 64) + "%" }),
			byType(idc.Answered, func(n uint64) string { return strconv.FormatUint(n, 10) }),
			printable(strings.Join(idc.Addresses, " ")), printable(idc.Why))
	}
	return table.Flush()
}

// byType is a value for each type of records: "A 50%, AAAA 50%".
func byType[V any](values map[string]V, text func(V) string) string {
	var parts []string
	for kind, value := range values {
		parts = append(parts, printable(kind)+" "+text(value))
	}
	if parts == nil {
		return "-"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
