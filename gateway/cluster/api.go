package cluster

import (
	"encoding/json"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// shown is the answer of /api/v1/cluster.
type shown struct {
	Name      string             `json:"name"`
	Site      string             `json:"site"`
	Advertise string             `json:"advertise"`
	Keys      int                `json:"keys"` // 0: nothing is secret
	Members   []shownMember      `json:"members"`
	Silent    []silence          `json:"silent"`
	States    map[string]int     `json:"states"`  // bytes, by key
	Refused   map[string]refusal `json:"refused"` // by reason
}

type shownMember struct {
	Name     string    `json:"name"`
	Site     string    `json:"site"`
	Address  string    `json:"address"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	LastWord time.Time `json:"last_word"`
	Version  string    `json:"version"`
	Self     bool      `json:"self,omitempty"`
}

// show answers with all that is known of the cluster.
func (c *cluster) show(w http.ResponseWriter, _ *http.Request) {
	all := shown{
		Name: c.cfg.Name, Site: c.cfg.Site, Advertise: c.transport.advertise.String(), Keys: len(c.cfg.Keys),
		Silent: append([]silence{}, c.silences()...), States: c.exchange.sizesNow(), Refused: c.tally.refusals(),
	}
	for _, m := range c.members.all() {
		shown := shownMember{
			Name: m.Name, Site: m.Site, Address: m.Address.String(), State: m.State, Since: m.Since, LastWord: m.Heard, Version: m.Version,
		}
		if m.Name == c.cfg.Name {
			shown.Self, shown.LastWord = true, c.now()
		}
		all.Members = append(all.Members, shown)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(all); err != nil {
		c.set.Logger.Debug("an answer was not taken", zap.Error(err))
	}
}
