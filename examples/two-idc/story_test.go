package main

import (
	"image"
	"image/color"
	"strings"
	"testing"
)

// A picture with few colours stays as it is; of many the rare ones become their neighbours.
func TestPaletted(t *testing.T) {
	few := image.NewRGBA(image.Rect(0, 0, 16, 16))
	few.Set(3, 4, color.RGBA{200, 1, 2, 255})
	if got := paletted(few); len(got.Palette) != 2 || got.At(3, 4) != (color.RGBA{200, 1, 2, 255}) || got.At(0, 0) != (color.RGBA{}) {
		t.Errorf("%v", got.Palette)
	}
	many := image.NewRGBA(image.Rect(0, 0, 100, 100))
	for i := range 900 {
		many.Set(i%100, i/100, color.RGBA{uint8(i % 30), uint8(i / 30), 1, 255})
	}
	red := color.RGBA{240, 1, 2, 255}
	many.Set(99, 99, red)
	if got := paletted(many); len(got.Palette) > 256 || got.At(99, 99) != red {
		t.Errorf("%d colours, and red became %v", len(got.Palette), got.At(99, 99))
	}
}

// The ingress knows the way to the shop: a cluster, and a route to it.
func TestIngressLeadsToTheShop(t *testing.T) {
	for _, dc := range storyIDCs() {
		config, err := envoyConfig(dc.callers[0], dc, tagged)
		if err != nil {
			t.Fatal(err)
		}
		if way := behindName(dc.behind[0]); strings.Count(string(config), way) < 2 {
			t.Errorf("%s: no way %s", dc.name, way)
		}
	}
}
