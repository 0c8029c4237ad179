package mesh

// Funnel is how far the requests get that enter an IDC.
type Funnel struct {
	IDC string `json:"idc"`
}
