package pluginhost

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSize(t *testing.T) {
	f := func(text string, want Size, again string) {
		t.Helper()
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)))
		require.Equal(t, want, s)
		out, err := s.MarshalText()
		require.NoError(t, err)
		require.Equal(t, again, string(out))
		if again == "" {
			return
		}
		require.NoError(t, s.UnmarshalText(out))
		require.Equal(t, want, s)
	}
	f("512MiB", 512<<20, "512MiB")
	f("1.5 GiB", 3<<29, "1536MiB")
	f("2048KiB", 2<<20, "2MiB")
	f("1GB", 1e9, "1000000000B")
	f("500MB", 500e6, "500000000B")
	f("7KB", 7000, "7000B")
	f("100B", 100, "100B")
	f("0B", 0, "")
}

func TestNoSize(t *testing.T) {
	f := func(text string) {
		t.Helper()
		require.EqualError(t, new(Size).UnmarshalText([]byte(text)),
			`"`+text+`" is no size: a number and one of B, KB, MB, GB, KiB, MiB, GiB, such as 512MiB`)
	}
	f("")
	f("512")
	f("MiB")
	f("512 Mi")
	f("512mb")
	f("-1GiB")
	f("NaNB")
	f("1e300GiB")
	f("a lot")
}

func TestSizeForPeople(t *testing.T) {
	require.Equal(t, "600 MiB", Size(600<<20+1).String())
	require.Equal(t, "1 GiB", Size(1<<30).String())
	require.Equal(t, "1536 MiB", Size(3<<29).String())
	require.Equal(t, "12 GiB", Size(12<<30).String())
	require.Equal(t, "512 B", Size(512).String())
}

func TestMemoryLimitInConfig(t *testing.T) {
	cfg, err := load(t, `processes: {a: {kind: storage, memory_limit: 512MiB}}`)
	require.NoError(t, err)
	require.Equal(t, Size(512<<20), cfg.Processes["a"].MemoryLimit)
	_, err = load(t, `processes: {a: {kind: storage, memory_limit: a lot}}`)
	require.ErrorContains(t, err, "memory_limit")
	require.ErrorContains(t, err, `"a lot" is no size`)
	_, err = load(t, `processes: {a: {kind: storage, memory_limit: 512}}`)
	require.ErrorContains(t, err, "memory_limit")
	_, err = load(t, `processes: {a: {kind: storage, memory_limit: 1MiB}}`)
	require.ErrorContains(t, err, "processes::a: memory_limit: 1 MiB is less than any plugin needs: at least 16 MiB")
}

func FuzzSize(f *testing.F) {
	f.Add("512MiB")
	f.Add("1e9 KB")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, text string) {
		var s Size
		if s.UnmarshalText([]byte(text)) == nil {
			require.GreaterOrEqual(t, s, Size(0))
			require.NotEmpty(t, s.String())
		}
	})
}
