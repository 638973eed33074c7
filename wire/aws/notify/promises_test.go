package notify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the table of the page anew")

// page is what those who have endpoints can rely on.
var page = filepath.Join("..", "..", "..", "docs", "wire", "aws-http.md")

// promises are the sentences in bold of the page, each with its test.
var promises = map[string]func(*testing.T){
	"A message is posted until the endpoint takes it.":         TestAMessageIsPostedUntilTheEndpointTakesIt,
	"What is not delivered is delivered after a restart.":      TestWhatIsNotDeliveredIsDeliveredAfterARestart,
	"Retries are when the policy says.":                        TestRetriesAreWhenThePolicySays,
	"What the endpoint refuses is not retried.":                TestWhatTheEndpointRefusesIsNotRetried,
	"Redirects are not followed.":                              TestRedirectsAreNotFollowed,
	"A slow endpoint delays nobody else.":                      TestASlowEndpointDelaysNobodyElse,
	"A failing endpoint has no help.":                          TestAFailingEndpointHasNoHelp,
	"The policy bounds posts per second.":                      TestThePolicyBoundsPostsPerSecond,
	"What cannot be delivered moves to the dead letter queue.": TestWhatCannotBeDeliveredMovesToTheDeadLetterQueue,
	"Without a dead letter queue messages are dropped.":        TestWithoutADeadLetterQueueMessagesAreDropped,
	"A dead letter queue that is full loses nothing.":          TestADeadLetterQueueThatIsFullLosesNothing,
	"Confirmations are retried and never dead letters.":        TestConfirmationsAreRetriedAndNeverDeadLetters,
	"Credentials of the URL are sent.":                         TestCredentialsOfTheURLAreSent,
	"Secrets are in no log and no dead letter.":                TestSecretsAreInNoLogAndNoDeadLetter,
	"Requests have the headers of SNS.":                        TestRequestsHaveTheHeadersOfSNS,
	"Documents have the keys of SNS in its order.":             TestDocumentsHaveTheKeysOfSNSInItsOrder,
	"Stock validators accept what was signed.":                 TestStockValidatorsAcceptWhatWasSigned,
	"Policies are shown as SNS shows them.":                    TestPoliciesAreShownAsSNSShowsThem,
	"A topic can forbid overrides.":                            TestATopicCanForbidOverrides,
	"Wrong policies are refused in the words of SNS.":          TestWrongPoliciesAreRefusedInTheWordsOfSNS,
	"Retries have four phases.":                                TestRetriesHaveFourPhases,
	"Backoff functions grow from the least to the greatest.":   TestBackoffFunctionsGrowFromTheLeastToTheGreatest,
}

func TestThePagePromisesWhatIsTested(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*`).FindAllStringSubmatch(string(b), -1) {
		told[strings.Join(strings.Fields(m[1]), " ")] = true
	}
	for words := range told {
		if promises[words] == nil {
			t.Errorf("the page promises %q, and no test has these words", words)
		}
	}
	for words := range promises {
		if !told[words] {
			t.Errorf("a test has the words %q, which the page does not promise", words)
		}
	}
}

// meaning says what each limit is of, and what happens at it.
var meaning = map[string]string{
	"Endpoints":     "subscriptions over HTTP: a further one is refused",
	"PerEndpoint":   "posts at once to a subscription: further ones wait",
	"Extra":         "posts at once beyond the first of each subscription: further ones wait for that",
	"ResponseBytes": "of an answer's body: the rest is not read",
	"Timeout":       "for a post and its answer: retried",
}

func TestThePageHasTheLimits(t *testing.T) {
	var l Limits
	if err := l.check(); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("<!-- limits -->\n| limit | default | of what, and beyond it |\n|---|---|---|\n")
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		name, value := v.Type().Field(i).Name, v.Field(i).Interface()
		if meaning[name] == "" {
			t.Errorf("the page does not say what is beyond %s", name)
		}
		if d, is := value.(time.Duration); is {
			value = d.String()
		}
		fmt.Fprintf(&table, "| `%s` | %v | %s |\n", name, value, meaning[name])
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	from, to := strings.Index(text, "<!-- limits -->"), strings.Index(text, "<!-- /limits -->")
	if from < 0 || to < from {
		t.Fatalf("%s has no place for limits", page)
	}
	want := text[:from] + table.String() + text[to:]
	switch {
	case text == want:
	case !*update:
		t.Errorf("%s is not what the code says; go test -run Limits -update writes it", page)
	default:
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
