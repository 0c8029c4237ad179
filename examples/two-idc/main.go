// Two-idc shows the gateway at work on real traffic: two data centres of real Envoys on loopback addresses, which send
// their access logs to a gateway with the default configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

type options struct {
	gateway, envoy, out string
	rules, scene        string
	screens             string
	once, short         bool
	runs                int
	partition           time.Duration
	identity            identity
	configs             []string
}

func main() {
	// Linux ends a child with the thread that started it: main's own, which lives as long as the process.
	runtime.LockOSThread()
	if len(os.Args) > 1 && os.Args[1] == "app" {
		exit(runApp(os.Args[2:]))
	}
	exit(run(os.Args[1:]))
}

func exit(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "two-idc:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case o.scene == "alert":
		return alertScene(ctx, o)
	case o.scene == "outage":
		return outageScene(ctx, o)
	case o.scene == "idc":
		return idcScene(ctx, o)
	case o.scene == "machine":
		return machineScene(ctx, o)
	case o.scene == "sites":
		return sitesScene(ctx, o)
	case o.scene == "story":
		return storyScene(ctx, o)
	case !o.once:
		return live(ctx, o)
	}
	ok, err := once(ctx, o)
	if err == nil && !ok {
		err = fmt.Errorf("not every scene is ok: %s", filepath.Join(o.out, "result.json"))
	}
	return err
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("two-idc", flag.ContinueOnError)
	flags.StringVar(&o.gateway, "gateway", "bin/lockkeeper", "the gateway's `binary`; bin/plugins lies beside it")
	flags.StringVar(&o.envoy, "envoy", ".cache/venv/bin/envoy", "Envoy's `binary`")
	flags.StringVar(&o.out, "out", ".cache/demo", "`directory` for data, logs and result.json")
	flags.BoolVar(&o.once, "once", false, "send a fixed scene for each identity, compare the counts, exit 0 or 1")
	flags.StringVar(&o.scene, "scene", "", "another `scene`, exit 0 or 1: alert (flags make the rules' alerts fire, until they are over), outage (the storage is away), idc (a data centre dies, and DNS answers the other), machine (a machine dies, and Envoys stop using it), sites (three gateways decide together, and links and gateways die) or story (one after the other goes wrong, and the page tells it)")
	flags.IntVar(&o.runs, "runs", 5, "how `often` each fault happens in the scene machine, by each profile")
	flags.BoolVar(&o.short, "short", false, "of the scene machine one fault, once, by the profile fast; 15 seconds")
	flags.DurationVar(&o.partition, "partition", 30*time.Second, "how long a site is parted from the others in the scene sites")
	flags.Func("config", "one more configuration `file` for the gateway, merged over the demo's; may be repeated", func(file string) error {
		o.configs = append(o.configs, file)
		return nil
	})
	flags.StringVar(&o.screens, "screens", "", "`directory` for pictures of the page in the scene story")
	flags.StringVar(&o.rules, "rules", "deploy/rules", "`directory` of the rules for these")
	flags.StringVar((*string)(&o.identity), "identity", string(tagged), "who says who is at both ends: tagged (custom tags, filter state) or istio (peer Structs only)")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "Two data centres of real Envoys that log to a gateway.\n\nExample, after `make build`:\n  go run ./examples/two-idc --once\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.identity != tagged && o.identity != istio {
		return o, fmt.Errorf("--identity %q: tagged or istio", o.identity)
	}
	if o.runs < 1 {
		return o, fmt.Errorf("--runs %d: 1 or more", o.runs)
	}
	if !slices.Contains([]string{"", "alert", "outage", "idc", "machine", "sites", "story"}, o.scene) {
		return o, fmt.Errorf("--scene %q: alert, outage, idc, machine, sites or story", o.scene)
	}
	for _, binary := range []*string{&o.gateway, &o.envoy} {
		if _, err := os.Stat(*binary); err != nil {
			return o, fmt.Errorf("%w: `make demo` builds the gateway and fetches Envoy", err)
		}
		if *binary, err = filepath.Abs(*binary); err != nil {
			return o, err
		}
	}
	if o.rules, err = filepath.Abs(o.rules); err != nil {
		return o, err
	}
	o.out, err = filepath.Abs(o.out)
	return o, err
}
