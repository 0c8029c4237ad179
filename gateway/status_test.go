package main

import (
	"strings"
	"testing"
)

const wellOverview = `{"at":"2026-11-22T01:00:00.000Z","version":"1.2","gateway":"berlin","sections":{
"mesh":{"edges":[{"rate":8,"errors":0.25}],"funnels":[{"idc":"idc1","hops":[{"to":"ingress","depth":0,"rate":3}]},{"idc":"idc2","hops":[{"to":"ingress","depth":0,"rate":1}]}]},
"nodes":{"entries":12,"nodes":[{"id":"n1","coverage":0.99},{"id":"n2"}]},
"failover":{"serving":{"version":7,"idcs":{"idc1":{"entry":5000,"mesh":5000},"idc2":{"entry":5000,"mesh":5000}}},"subjects":[{"subject":"idc/idc1/entry","health":"healthy"}]},
"dns":{"serial":4,"zones":[{"zone":"gslb.example.com.","names":[{},{}]}]},
"probes":{"targets":[{"module":"entry","target":"http://a/","success":true},{"target":"b"}],"machines":{"total":3,"answering":3}},
"plugins":{"plugins":[{"name":"victoriametrics","healthy":true,"queues":[{"exporter":"plugin/metrics","size":1,"capacity":4}]}]},
"alerts":[{"labels":{"alertname":"Quiet"},"status":{"state":"suppressed"}}],
"cluster":{"name":"berlin","members":[{"name":"berlin","state":"alive"}]}},
"missing":{"xds":"the extension xds is not configured"}}`

// What is wrong comes first and makes the exit code; the rest is a line for each part.
func TestStatus(t *testing.T) {
	f := func(wantCode int, replace string, want ...string) {
		t.Helper()
		was, is, _ := strings.Cut(replace, " => ")
		body := strings.Replace(wellOverview, was, is, 1)
		if replace != "" && body == wellOverview {
			t.Fatalf("%s is nowhere", was)
		}
		code, out, stderr := call(t, "status", "--url", consoleOf(t, overviewPath, body))
		if code != wantCode {
			t.Errorf("%s: exit %d, want %d\n%s%s", replace, code, wantCode, out, stderr)
		}
		for _, w := range want {
			if !strings.Contains(out+stderr, w) {
				t.Errorf("%s: no %q in\n%s%s", replace, w, out, stderr)
			}
		}
	}
	f(0, "", "All is well.\n", "idc1  50 %   75.0 %    50 %  healthy     -\n", "idc2  50 %   25.0 %    50 %  not probed  -\n",
		"PROBES     1 of 2 targets are well, 1 not probed yet; 3 of 3 machines answer\n", "ALERTS     none fires; 1 silenced or inhibited\n",
		"PLUGINS    1 of 1 are healthy; the fullest queue is 25 % full\n",
		"TELEMETRY  2 Envoys, 12 entries, at least 99.0 % of them arrive; 1 edges, 8.0 requests/s, 25.00 % fail\n",
		"DNS        gslb.example.com: 2 names, serial 4\n", "CLUSTER    1 of 1 gateways answer\n")
	f(1, `"health":"healthy" => "health":"dead","why":"5 probes failed"`, "WRONG idc/idc1/entry is dead since", "5 probes failed", "error: one thing is wrong\n")
	f(1, `"subject":"idc/idc1/entry","health":"healthy" => "subject":"machine/m1","health":"dead","out":true`, "WRONG 1 taken out\n", "machine/m1   dead")
	f(1, `"serving": => "alarms":{"none_healthy":"both"},"serving":`, "WRONG failover: none healthy: both\n")
	f(1, `"success":true => "success":false,"error":"no answer after 1s"`, "WRONG probe entry of http://a/ fails: no answer after 1s\n")
	f(1, `"healthy":true => "state":"backoff","last_error":"disk full"`, "WRONG plugin victoriametrics is not running (backoff): disk full\n")
	f(1, `"healthy":true => "state":"running","last_error":"disk full"`, "WRONG plugin victoriametrics says that it cannot work: disk full\n")
	f(1, `"size":1 => "size":3,"oldest_seconds":90`, "WRONG the queue of plugin/metrics is 75 % full, its oldest has waited 1m30s\n")
	f(1, `"suppressed" => "active"`, "WRONG alert Quiet", "ALERTS     Quiet\n")
	f(0, `"state":"alive" => "state":"left"`, "0 of 0 gateways answer; stopped: berlin")
	f(1, `"state":"alive" => "state":"lost"`, "WRONG gateway berlin of site  is lost\n")
	f(1, `"coverage":0.99 => "coverage":0.5,"thin":true`, "WRONG of the access logs of n1 only 50.0 % arrive\n")
	f(1, `"depth":0,"rate":1 => "depth":0,"rate":1,"drop":"lost","text":"half is lost"`, "WRONG idc2, on the way to ingress: half is lost\n")
	f(1, `"missing":{ => "missing":{"events":"no answer within 1s",`, "WRONG events does not answer: no answer within 1s\n")
	f(1, `"serial":4 => "error":"bad \u001b[2J"`, `follow what is served: bad ?[2J`)
	f(1, `{"at" => `, "is not what is asked for")
	if code, out, _ := call(t, "status", "-o", "json", "--url", consoleOf(t, overviewPath, wellOverview)); code != 0 || out != wellOverview {
		t.Errorf("%d: %s", code, out)
	}
	// what only one of two says has its name
	sick := strings.NewReplacer("berlin", "tokyo", `"suppressed"`, `"active"`).Replace(wellOverview)
	code, out, stderr := call(t, "status", "--url", consoleOf(t, overviewPath, wellOverview), "--url", consoleOf(t, overviewPath, sick))
	for _, w := range []string{"2 gateways agree.\n", "WRONG tokyo: alert Quiet", "GATEWAY    berlin", "GATEWAY    tokyo"} {
		if !strings.Contains(out, w) || code != 1 {
			t.Errorf("exit %d, no %q in\n%s%s", code, w, out, stderr)
		}
	}
}
