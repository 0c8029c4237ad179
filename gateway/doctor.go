package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newDoctorCommand() *cobra.Command {
	var gateway remote
	var format output
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell whether telemetry arrives, what is wrong with it, and the cure",
		Long: `Ask a gateway whether the Envoys' telemetry arrives, from whom, and what is wrong with it. It looks at two seconds of traffic, so run
it while there is some. Each finding that is not ok has its cure.

Exit codes: 0 nothing is broken (there may be warnings), 1 something is, or there is no gateway, 2 called wrongly.`,
		Example: `  lockkeeper doctor
  lockkeeper doctor --url http://gateway.test:7070 -o json`,
		Args: cobra.NoArgs,
		RunE: does(func(cmd *cobra.Command) error {
			asJSON, err := format.json()
			if err != nil {
				return err
			}
			response, err := gateway.get(cmd.Context(), "/api/v1/doctor", nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return fmt.Errorf("the gateway went away: %w", err)
			}
			return report(body, asJSON, cmd.OutOrStdout())
		}),
	}
	format.addFlags(cmd)
	gateway.addFlags(cmd)
	return cmd
}

// report prints findings; it fails when one of them is an error.
func report(body []byte, asJSON bool, out io.Writer) error {
	var answer struct {
		Findings []struct{ Level, ID, Subject, Text, Cure string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("not a doctor's answer: %w", err)
	}
	if asJSON {
		if _, err := out.Write(body); err != nil {
			return err
		}
	}
	broken := false
	for _, f := range answer.Findings {
		broken = broken || f.Level == "error"
		if asJSON {
			continue
		}
		text := f.Text
		if f.Subject != "" {
			text = f.Subject + ": " + text
		}
		fmt.Fprintf(out, "%-5s %s: %s\n", f.Level, f.ID, printable(text))
		if f.Cure != "" {
			fmt.Fprintf(out, "      cure: %s\n", printable(f.Cure))
		}
	}
	if broken {
		return errors.New("telemetry is broken: the findings above say how to cure it")
	}
	return nil
}
