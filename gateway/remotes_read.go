package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// reading is a question to all gateways, who should answer the same: T.
type reading[T any] struct {
	path  string
	query url.Values
	facts func(answer *T, of *remote) map[fact]string // what they should agree on
	write func(out io.Writer, answers []*T) error     // writes one answer of all for people: the first is of the opinion of most
	seen  func(answers []*T)                          // is shown the answers that are written; nil: nobody is
}

// shows is what a command runs that changes nothing: show gets all gateways, and whether the answer is to be JSON.
func shows(gateways *remotes, format *output, show func(cmd *cobra.Command, all []*remote, asJSON bool) error) func(*cobra.Command, []string) error {
	return does(func(cmd *cobra.Command) error {
		asJSON, err := format.json()
		if err != nil {
			return err
		}
		all, err := gateways.all()
		if err != nil {
			return err
		}
		return show(cmd, all, asJSON)
	})
}

// page is an answer, and how it came.
type page[T any] struct {
	answer T
	body   []byte
}

// show asks, and writes one answer, and before it who disagrees or does not answer. That is an error, after all has been written. most is an answer
// that most agree with.
func (r *reading[T]) show(cmd *cobra.Command, gateways []*remote, asJSON bool) (most *T, err error) {
	out := cmd.OutOrStdout()
	if len(gateways) > 1 {
		meet(cmd.Context(), gateways)
	}
	all, differences := r.agreed(cmd.Context(), gateways)
	var answers []*T
	var silent []error
	for _, i := range byAgreement(differences, len(all)) {
		if s := &all[i]; s.err == nil {
			answers = append(answers, &s.answer.answer)
		} else {
			silent = append(silent, s.err)
		}
	}
	if r.seen != nil {
		r.seen(answers)
	}
	switch {
	case len(answers) == 0:
		return nil, errors.Join(distinct(silent)...)
	case len(all) == 1 && asJSON:
		_, err = out.Write(all[0].answer.body)
	case len(all) == 1:
		err = r.write(out, answers)
	default:
		err = r.writeAll(out, all, differences, answers, asJSON)
	}
	switch {
	case err != nil:
	case len(silent) > 0:
		err = fmt.Errorf("%d of %d gateways do not answer, or refuse", len(silent), len(all))
	case differences != nil:
		err = errors.New("the gateways disagree: it is told above in what")
	}
	return answers[0], err
}

func (r *reading[T]) writeAll(out io.Writer, all []said[page[T]], differences [][]string, answers []*T, asJSON bool) error {
	if asJSON {
		list := make([]gatewayAnswer, len(all))
		for i, s := range all {
			list[i] = newGatewayAnswer(s.remote, s.err)
			if s.err == nil {
				list[i].Answer = json.RawMessage(s.answer.body)
			}
			if differences != nil {
				list[i].Disagrees = differences[i]
			}
		}
		return json.NewEncoder(out).Encode(map[string]any{"gateways": list})
	}
	if differences == nil && len(answers) > 1 {
		fmt.Fprintf(out, "%d gateways agree.\n", len(answers))
	}
	for i, s := range all {
		switch {
		case s.err != nil:
			fmt.Fprintf(out, "%s: %s\n", s.label(), strings.ReplaceAll(s.err.Error(), "\n", "; "))
		case differences != nil && len(differences[i]) > 0:
			fmt.Fprintf(out, "%s: %s\n", s.label(), printable(few(differences[i])))
		case differences != nil:
			fmt.Fprintf(out, "%s: says what most say\n", s.label())
		}
	}
	fmt.Fprintln(out)
	return r.write(out, answers)
}

// gatewayAnswer is what -o json tells of each of several gateways.
type gatewayAnswer struct {
	URL       string   `json:"url"`
	Name      string   `json:"name,omitempty"` // in its cluster
	Site      string   `json:"site,omitempty"`
	Answer    any      `json:"answer,omitempty"`
	Error     string   `json:"error,omitempty"`
	Disagrees []string `json:"disagrees,omitempty"` // with most, in what
}

func newGatewayAnswer(g *remote, err error) gatewayAnswer {
	a := gatewayAnswer{URL: g.url, Name: g.cluster.Name, Site: g.cluster.Site}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// agreed asks all gateways until they agree, as those of a cluster do soon, or will not.
func (r *reading[T]) agreed(ctx context.Context, gateways []*remote) (all []said[page[T]], differences [][]string) {
	for began := time.Now(); ; {
		all = askAll(ctx, gateways, func(ctx context.Context, g *remote) (p page[T], err error) {
			p.body, err = g.read(ctx, r.path, r.query, &p.answer)
			return p, err
		})
		told := make([]map[fact]string, len(all))
		for i := range all {
			if s := &all[i]; s.err == nil {
				told[i] = r.facts(&s.answer.answer, s.remote)
			}
		}
		if differences = disagree(told); differences == nil || time.Since(began) > settleTime {
			return all, differences
		}
		select {
		case <-ctx.Done():
			return all, differences
		case <-time.After(settleLook):
		}
	}
}

// fact is something that gateways are to agree on. What is said of it is a word of each.
type fact struct {
	text string // before the word
	none string // the word of a gateway that says nothing of it; "": it has no say
}

// disagree tells of each gateway in what it is not of the opinion of most, and of all in what there is no such opinion. It is nil when they agree. A gateway
// that did not answer has nil facts.
func disagree(facts []map[fact]string) (differences [][]string) {
	all := map[fact]bool{}
	for _, own := range facts {
		for f := range own {
			all[f] = true
		}
	}
	for _, f := range slices.SortedFunc(maps.Keys(all), func(a, b fact) int { return strings.Compare(a.text, b.text) }) {
		words, different, most := f.words(facts)
		for i, word := range words {
			if word == "" || word == most || len(different) < 2 {
				continue
			}
			if differences == nil {
				differences = make([][]string, len(facts))
			}
			others := most
			if others == "" {
				others = strings.Join(slices.DeleteFunc(slices.Clone(different), func(o string) bool { return o == word }), " or ")
			}
			differences[i] = append(differences[i], fmt.Sprintf("%s %s (others: %s)", f.text, word, others))
		}
	}
	return differences
}

// words are what each gateway says of the fact, "" for nothing; those that are different; and what more than half of those say who say something, if
// there is such a word.
func (f fact) words(facts []map[fact]string) (words, different []string, most string) {
	words, count, said := make([]string, len(facts)), map[string]int{}, 0
	for i, own := range facts {
		if own == nil {
			continue
		}
		word, ok := own[f]
		if !ok {
			word = f.none
		}
		if words[i] = word; word != "" {
			said++
			count[word]++
		}
	}
	for word, n := range count {
		if 2*n > said {
			most = word
		}
	}
	return words, slices.Sorted(maps.Keys(count)), most
}

// byAgreement are the places of n gateways, those first that are of the opinion of most.
func byAgreement(differences [][]string, n int) []int {
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	if differences != nil {
		slices.SortStableFunc(places, func(a, b int) int { return len(differences[a]) - len(differences[b]) })
	}
	return places
}

const mostDifferences = 12 // shown of a gateway

func few(differences []string) string {
	if more := len(differences) - mostDifferences; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(differences[:mostDifferences], ", "), more)
	}
	return strings.Join(differences, ", ")
}

// distinct are errors without those that say the same.
func distinct(errs []error) []error {
	said := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		known := said[err.Error()]
		said[err.Error()] = true
		return known
	})
}
