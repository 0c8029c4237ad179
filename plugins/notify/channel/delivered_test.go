package channel

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestDelivered(t *testing.T) {
	var d Delivered
	var sent []string
	fail := map[string]error{}
	each := func() error {
		sent = nil
		return d.Each("key", []string{"a", "b", "c"}, func(r string) error {
			sent = append(sent, r)
			return fail[r]
		})
	}
	// Who has it is left out of the next try, and only of that.
	fail["b"] = errors.New("later")
	require.ErrorContains(t, each(), "later")
	require.Equal(t, []string{"a", "b", "c"}, sent)
	fail["b"] = nil
	require.NoError(t, each())
	require.Equal(t, []string{"b"}, sent)
	require.NoError(t, each(), "a reminder")
	require.Equal(t, []string{"a", "b", "c"}, sent)
	// One who can never be told does not keep the others from it, nor has them told again.
	fail["a"] = sdk.Permanent(errors.New("nobody here"))
	require.NoError(t, each())
	fail["b"], fail["c"] = fail["a"], fail["a"]
	err := each()
	require.ErrorContains(t, err, "nobody here")
	require.True(t, sdk.IsPermanent(err))
	// The memory is bounded.
	for i := range 3 * rememberedKeys {
		d.add(fmt.Sprint(i), "a")
	}
	require.LessOrEqual(t, len(d.done), rememberedKeys)
}
