package main

import (
	"bytes"
	"cmp"
	"errors"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// shrink makes all pictures of a directory small: 256 colours do for a page. Without a directory there are none.
func shrink(directory string) error {
	if directory == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(directory, "*.png"))
	for _, file := range files {
		err = errors.Join(err, shrinkFile(file))
	}
	return err
}

func shrinkFile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		return err
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, paletted(picture)); err != nil {
		return err
	}
	return os.WriteFile(file, small.Bytes(), 0o644)
}

// paletted keeps the colours that are seen most, and of the others some that are unlike them: a thin red line is seldom, and must stay red. All others
// become the nearest of these.
func paletted(picture image.Image) *image.Paletted {
	bounds := picture.Bounds()
	seen := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			seen[at(x, y)]++
		}
	}
	order := slices.SortedFunc(maps.Keys(seen), func(a, b color.RGBA) int {
		return cmp.Or(seen[b]-seen[a], cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B), cmp.Compare(a.A, b.A))
	})
	var palette color.Palette
	kinds := map[color.RGBA]bool{}
	for _, c := range order {
		kind := color.RGBA{c.R >> 5, c.G >> 5, c.B >> 5, 0}
		if len(palette) < 128 || len(palette) < 256 && !kinds[kind] {
			palette, kinds[kind] = append(palette, c), true
		}
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range order {
		nearest[c] = uint8(palette.Index(c))
	}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	return small
}
