package pluginhost

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: 512MiB.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler: a number and one of B, KB, MB, GB, KiB, MiB, GiB.
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "BKMGi")
	unit := sizeUnit(string(text[len(number):]))
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	bytes := value * float64(unit)
	if err != nil || unit == 0 || bytes < 0 || bytes > math.MaxInt64/2 || math.IsNaN(bytes) {
		return fmt.Errorf("%q is no size: a number and one of B, KB, MB, GB, KiB, MiB, GiB, such as 512MiB", text)
	}
	*s = Size(bytes)
	return nil
}

// MarshalText gives what UnmarshalText reads. No size is the empty text.
func (s Size) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if n := Size(sizeUnit(unit)); s%n == 0 {
			return []byte(strconv.FormatInt(int64(s/n), 10) + unit), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10) + "B"), nil
}

// String rounds, for people.
func (s Size) String() string {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if n := float64(sizeUnit(unit)); float64(s) >= 10*n || float64(s) == n {
			return strconv.FormatFloat(math.Round(float64(s)/n), 'f', -1, 64) + " " + unit
		}
	}
	return strconv.FormatInt(int64(s), 10) + " B"
}

// sizeUnit is 0 for a name that is none.
func sizeUnit(name string) int64 {
	switch name {
	case "B":
		return 1
	case "KB":
		return 1e3
	case "MB":
		return 1e6
	case "GB":
		return 1e9
	case "KiB":
		return 1 << 10
	case "MiB":
		return 1 << 20
	case "GiB":
		return 1 << 30
	}
	return 0
}
