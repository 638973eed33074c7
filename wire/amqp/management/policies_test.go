package management

import (
	"strings"
	"testing"
)

// TestPoliciesAreSetAndShown, and refused in RabbitMQ's words.
func TestPoliciesAreSetAndShown(t *testing.T) {
	x := start(t, Config{})
	for i, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/policies", "", 200, `[]`},
		{"PUT", "/api/queues/%2F/jobs", `{"durable":true,"arguments":{"x-max-length":9}}`, 201, ""},
		{"GET", "/api/queues/%2F/jobs", "", 200, `"effective_policy_definition":{}`},
		{"GET", "/api/queues/%2F/jobs", "", 200, `"policy":null`},
		{"GET", "/api/queues/%2F/jobs", "", 200, `"operator_policy":null`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"^(?!amq\\.)","definition":{"max-length":3,` +
			`"alternate-exchange":"amq.fanout"},"priority":2}`, 201, ""},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"^(?!amq\\.)","definition":{"max-length":3,` +
			`"alternate-exchange":"amq.fanout"},"priority":2,"apply-to":"all"}`, 204, ""},
		{"PUT", "/api/operator-policies/%2F/op", `{"pattern":"jobs","definition":{"max-length":2},` +
			`"apply-to":"classic_queues"}`, 201, ""},
		{"GET", "/api/policies/%2F/p", "", 200, `{"apply-to":"all","definition":{"alternate-exchange":` +
			`"amq.fanout","max-length":3},"name":"p","pattern":"^(?!amq\\.)","priority":2,"vhost":"/"}`},
		{"GET", "/api/policies/%2F", "", 200, `"name":"p"`},
		{"GET", "/api/operator-policies", "", 200, `[{"apply-to":"classic_queues","definition":{"max-length":2},` +
			`"name":"op","pattern":"jobs","priority":0,"vhost":"/"}]`},
		{"GET", "/api/operator-policies/%2F/p", "", 404, missingDoc},
		{"GET", "/api/queues/%2F/jobs?columns=policy,operator_policy,effective_policy_definition", "", 200,
			`{"effective_policy_definition":{"alternate-exchange":"amq.fanout","max-length":2},` +
				`"operator_policy":"op","policy":"p"}`},
		{"GET", "/api/exchanges/%2F/amq.topic?columns=policy", "", 200, `{}`},
		{"PUT", "/api/exchanges/%2F/x", `{}`, 201, ""},
		{"GET", "/api/exchanges/%2F/x?columns=policy", "", 200, `{"policy":"p"}`},
		{"DELETE", "/api/policies/%2F/p", "", 204, ""},
		{"DELETE", "/api/policies/%2F/p", "", 404, "not found"},
		{"DELETE", "/api/operator-policies/%2F/op", "", 204, ""},
		{"GET", "/api/queues/%2F/jobs", "", 200, `"policy":null`},
		{"GET", "/api/policies/other", "", 404, missingDoc},

		{"PUT", "/api/policies/%2F/p", `{"definition":{"expires":1}}`, 400, `key_missing: pattern`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a"}`, 400, `key_missing: definition`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a","definition":{}}`, 400, `no policy provided`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"(","definition":{"expires":1}}`, 400,
			`pattern should be regular expression but is invalid`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a","definition":{"expires":0}}`, 400,
			`Validation failed\n\n0 is not a valid queue expiry\n`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a","definition":{"overflow":"none"}}`, 400,
			`<<\"none\">> is not a valid overflow value`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a","definition":{"max-priority":4}}`, 400,
			`[{<<\"max-priority\">>,4}] are not recognised policy settings`},
		{"PUT", "/api/operator-policies/%2F/p", `{"pattern":"a","definition":{"dead-letter-exchange":"x"}}`, 400,
			`are not recognised policy settings`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a","definition":{"expires":1},"apply-to":"cats"}`, 400,
			`apply-to 'cats' unrecognised`},
		{"PUT", "/api/policies/%2F/p", `{"pattern":"a","definition":{"expires":1},"priority":"high"}`, 400,
			`priority should be a number`},
	} {
		got := x.do(step.method, step.path, step.body, step.status)
		if !strings.Contains(got, step.want) {
			t.Errorf("%d: %s %s: got %s, want %s", i, step.method, step.path, got, step.want)
		}
	}
}
