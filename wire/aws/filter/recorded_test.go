package filter

import (
	"fmt"
	"strings"
	"testing"
)

// recorded are what SNS answered from 2024 to 2026, less the "Invalid parameter: " that the caller adds. An empty
// error is a policy that was taken. One answer of 2024 is left out, which refused "suffix" in "anything-but".
var recorded = []struct {
	policy string
	scope  Scope
	err    string
}{
	{`{"key":[["value"]]}`, MessageAttributes,
		"FilterPolicy: Match value must be String, number, true, false, or null\n" +
			` at [Source: (String)"{"key":[["value"]]}"; line: 1, column: 10]`},
	{`{"key":[{"wrong-operator":true}]}`, MessageAttributes,
		"FilterPolicy: Unrecognized match type wrong-operator\n" +
			` at [Source: (String)"{"key":[{"wrong-operator":true}]}"; line: 1, column: 31]`},
	{`{"key":[{"suffix":"value","prefix":"value2"}]}`, MessageAttributes,
		"FilterPolicy: Only one key allowed in match expression\n" +
			` at [Source: (String)"{"key":[{"suffix":"value","prefix":"value2"}]}"; line: 1, column: 37]`},
	{`{"key":[]}`, MessageAttributes,
		"FilterPolicy: Empty arrays are not allowed\n" +
			` at [Source: (String)"{"key":[]}"; line: 1, column: 10]`},
	{`{"key":[{"suffix":100}]}`, MessageAttributes,
		"FilterPolicy: suffix match pattern must be a string\n" +
			` at [Source: (String)"{"key":[{"suffix":100}]}"; line: 1, column: 22]`},
	{`{"key":[{"suffix":null}]}`, MessageAttributes,
		"FilterPolicy: suffix match pattern must be a string\n" +
			` at [Source: (String)"{"key":[{"suffix":null}]}"; line: 1, column: 23]`},
	{`{"key":{"suffix":"value"}}`, MessageAttributes,
		"FilterPolicy: \"suffix\" must be an object or an array\n" +
			` at [Source: (String)"{"key":{"suffix":"value"}}"; line: 1, column: 19]`},
	{`{"key":[{"suffix":[]}]}`, MessageAttributes,
		"FilterPolicy: suffix match pattern must be a string\n" +
			` at [Source: (String)"{"key":[{"suffix":[]}]}"; line: 1, column: 20]`},
	{`{"key":[{"suffix":["test","test2"]}]}`, MessageAttributes,
		"FilterPolicy: suffix match pattern must be a string\n" +
			` at [Source: (String)"{"key":[{"suffix":["test","test2"]}]}"; line: 1, column: 20]`},
	{`{"key":{"suffix":"value","prefix":"value"}}`, MessageAttributes,
		"FilterPolicy: \"suffix\" must be an object or an array\n" +
			` at [Source: (String)"{"key":{"suffix":"value","prefix":"value"}}"; line: 1, column: 19]`},
	{`{"key":{"not-an-operator":"value"}}`, MessageAttributes,
		"FilterPolicy: \"not-an-operator\" must be an object or an array\n" +
			` at [Source: (String)"{"key":{"not-an-operator":"value"}}"; line: 1, column: 28]`},
	{`{"key":[{"cidr":["bad-filter"]}]}`, MessageAttributes,
		"FilterPolicy: prefix match pattern must be a string\n" +
			` at [Source: (String)"{"key":[{"cidr":["bad-filter"]}]}"; line: 1, column: 18]`},
	{`{"key":[{"cidr":"bad-filter"}]}`, MessageAttributes,
		"FilterPolicy: Malformed CIDR, one '/' required"},
	{`{"key":[{"cidr":"bad-filter/64"}]}`, MessageAttributes,
		"FilterPolicy: Nonstandard IP address: bad-filter"},
	{`{"key":[{"cidr":"bad-/64filter"}]}`, MessageAttributes,
		"FilterPolicy: Malformed CIDR, mask bits must be an integer"},
	{`{"key":[{"cidr":"xx.11.xx/8"}]}`, MessageAttributes,
		"FilterPolicy: Nonstandard IP address: xx.11.xx"},
	{`{"key":[{"cidr":"xxxx:db8:1234:1a00::/64"}]}`, MessageAttributes,
		"FilterPolicy: Nonstandard IP address: xxxx:db8:1234:1a00::"},
	{`{"key":[{"numeric":[]}]}`, MessageAttributes,
		"FilterPolicy: Invalid member in numeric match: ]\n" +
			` at [Source: (String)"{"key":[{"numeric":[]}]}"; line: 1, column: 22]`},
	{`{"key":[{"numeric":["operator"]}]}`, MessageAttributes,
		"FilterPolicy: Unrecognized numeric range operator: operator\n" +
			` at [Source: (String)"{"key":[{"numeric":["operator"]}]}"; line: 1, column: 32]`},
	{`{"key":[{"numeric":[1,"<="]}]}`, MessageAttributes,
		"FilterPolicy: Invalid member in numeric match: 1\n" +
			` at [Source: (String)"{"key":[{"numeric":[1,"<="]}]}"; line: 1, column: 22]`},
	{`{"key":[{"numeric":["=","000"]}]}`, MessageAttributes,
		"FilterPolicy: Value of equals must be numeric\n" +
			` at [Source: (String)"{"key":[{"numeric":["=","000"]}]}"; line: 1, column: 26]`},
	{`{"key":[{"numeric":[">="]}]}`, MessageAttributes,
		"FilterPolicy: Value of >= must be numeric\n" +
			` at [Source: (String)"{"key":[{"numeric":[">="]}]}"; line: 1, column: 26]`},
	{`{"key":[{"numeric":["<",100,">",10]}]}`, MessageAttributes,
		"FilterPolicy: Too many elements in numeric expression\n" +
			` at [Source: (String)"{"key":[{"numeric":["<",100,">",10]}]}"; line: 1, column: 30]`},
	{`{"key":[{"numeric":[">=",1,">",2]}]}`, MessageAttributes,
		"FilterPolicy: Bad numeric range operator: >\n" +
			` at [Source: (String)"{"key":[{"numeric":[">=",1,">",2]}]}"; line: 1, column: 31]`},
	{`{"key":[{"numeric":[">",3,"<",1]}]}`, MessageAttributes,
		"FilterPolicy: Bottom must be less than top\n" +
			` at [Source: (String)"{"key":[{"numeric":[">",3,"<",1]}]}"; line: 1, column: 33]`},
	{`{"key":[{"numeric":[">",20,"<="]}]}`, MessageAttributes,
		"FilterPolicy: Value of <= must be numeric\n" +
			` at [Source: (String)"{"key":[{"numeric":[">",20,"<="]}]}"; line: 1, column: 33]`},
	{`{"key":[{"numeric":[">",20,30]}]}`, MessageAttributes,
		"FilterPolicy: Bad value in numeric range: 30\n" +
			` at [Source: (String)"{"key":[{"numeric":[">",20,30]}]}"; line: 1, column: 30]`},
	{`{"key":[{"numeric":[">",20,"test"]}]}`, MessageAttributes,
		"FilterPolicy: Bad numeric range operator: test\n" +
			` at [Source: (String)"{"key":[{"numeric":[">",20,"test"]}]}"; line: 1, column: 34]`},
	{`{"key":[{"numeric":[">","20","<","30"]}]}`, MessageAttributes,
		"FilterPolicy: Value of > must be numeric\n" +
			` at [Source: (String)"{"key":[{"numeric":[">","20","<","30"]}]}"; line: 1, column: 26]`},
	{`{"key":[{"numeric":[">",20,"<","30"]}]}`, MessageAttributes,
		"FilterPolicy: Value of < must be numeric\n" +
			` at [Source: (String)"{"key":[{"numeric":[">",20,"<","30"]}]}"; line: 1, column: 33]`},
	{`{"key":[{"numeric":[">",20,"<",30,"<",50]}]}`, MessageAttributes,
		"FilterPolicy: Too many terms in numeric range expression\n" +
			` at [Source: (String)"{"key":[{"numeric":[">",20,"<",30,"<",50]}]}"; line: 1, column: 36]`},
	{`{"key":[{"exists":null}]}`, MessageAttributes,
		"FilterPolicy: exists match pattern must be either true or false.\n" +
			` at [Source: (String)"{"key":[{"exists":null}]}"; line: 1, column: 23]`},
	{`{"key":[{"exists":"no"}]}`, MessageAttributes,
		"FilterPolicy: exists match pattern must be either true or false.\n" +
			` at [Source: (String)"{"key":[{"exists":"no"}]}"; line: 1, column: 20]`},
	{`{"key":` + values(151) + `}`, MessageAttributes,
		"FilterPolicy: Filter policy is too complex"},
	{`{"key1":` + values(100) + `,"key2":` + values(51) + `}`, MessageAttributes,
		"FilterPolicy: Filter policy is too complex"},
	{`{"key1":["value1"],"key2":["value2"],"key3":["value3"],"key4":["value4"],"key5":["value5"],"key6":["value6"]}`, MessageAttributes,
		"FilterPolicy: Filter policy can not have more than 5 keys"},
	{`{"object":{"key":[{"prefix":"auto-"}]}}`, MessageAttributes,
		"Filter policy scope MessageAttributes does not support nested filter policy"},
	{`{"source":["aws.cloudwatch","aws.events","aws.test","aws.test2"],"$or":[{"metricName":["CPUUtilization","ReadLatency","t1","t2","t3","t4"]},{"metricType":["MetricType","TestType","TestType2","TestType3"],"$or":[{"metricId":[1234,4321,5678,9012]},{"spaceId":[1,2,3,4]}]}]}`, MessageAttributes,
		"FilterPolicy: Filter policy is too complex"},
	{`{"$or":[{"metricName":["CPUUtilization","ReadLatency","TestValue"]},{"namespace":["AWS/EC2","AWS/ES"]}],"detail":{"scope":["Service","Test"],"$or":[{"source":["aws.cloudwatch"]},{"type":["CloudWatch Alarm State Change","TestValue","TestValue2"]}]}}`, MessageBody,
		"FilterPolicy: Filter policy is too complex"},
	{`{"key_a":{"key_b":{"key_c":["value_one","value_two","value_three","value_four"]}},"key_d":{"key_e":["value_one","value_two","value_three"]},"key_f":["value_one","value_two","value_three"]}`, MessageBody,
		"FilterPolicy: Filter policy is too complex"},
	{`{"key_a":["value_one"],"key_b":["value_two"],"key_c":["value_three"],"key_d":["value_four"],"key_e":["value_five"],"key_f":["value_six"]}`, MessageBody,
		"FilterPolicy: Filter policy can not have more than 5 keys"},
	{`{"key_a":"value_one"}`, MessageBody,
		"FilterPolicy: \"key_a\" must be an object or an array\n" +
			` at [Source: (String)"{"key_a":"value_one"}"; line: 1, column: 11]`},
	{`{"key":[{"anything-but":{"wrong-operator":null}}]}`, MessageAttributes,
		"FilterPolicy: Unsupported anything-but pattern: wrong-operator\n" +
			` at [Source: (String)"{"key":[{"anything-but":{"wrong-operator":null}}]}"; line: 1, column: 47]`},
	{`{"key":[{"anything-but":{"exists":false}}]}`, MessageAttributes,
		"FilterPolicy: Unsupported anything-but pattern: exists\n" +
			` at [Source: (String)"{"key":[{"anything-but":{"exists":false}}]}"; line: 1, column: 40]`},
	{`{"key":[{"anything-but":{"prefix":false}}]}`, MessageAttributes,
		"FilterPolicy: prefix match pattern must be a string\n" +
			` at [Source: (String)"{"key":[{"anything-but":{"prefix":false}}]}"; line: 1, column: 40]`},
	{`{invalidjson}`, MessageAttributes,
		"FilterPolicy: failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to start field name\n" +
			" at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]"},
	{`invalid-json`, MessageAttributes,
		"FilterPolicy: failed to parse JSON. Unrecognized token 'invalid': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n" +
			" at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 8]"},
	{`{"source":["aws.cloudwatch","aws.events","aws.test"],"$or":[{"metricName":["CPUUtilization","ReadLatency","TestVal","TestVal2","TestVal3","TestVal4"]},{"metricType":["MetricType","TestType","TestType2","TestType3"],"$or":[{"metricId":[1234,4321,5678,9012]},{"spaceId":[1,2,3,4,5,6,7]}]}]}`, MessageAttributes, ""},
	{`{"key": [{"anything-but": {"prefix": "test-"}}]}`, MessageAttributes, ""},
	{`{"key": [{"anything-but": ["test", "test2"]}]}`, MessageAttributes, ""},
	{`{"key": [{"anything-but": "test"}]}`, MessageAttributes, ""},
	{`{"attr1": [null, {"anything-but": "whatever"}]}`, MessageAttributes, ""},
}

// values is an array of n strings.
func values(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"value%d"`, i)
	}
	return "[" + b.String()[1:] + "]"
}

func TestErrorsAreThoseOfSNS(t *testing.T) {
	for _, c := range recorded {
		_, err := Parse(c.policy, c.scope)
		if got := says(err); got != c.err {
			t.Errorf("%s\n%s, want\n%s", c.policy, got, c.err)
		}
	}
	_, err := ParseScope("RandomValue")
	want := "FilterPolicyScope: Invalid value [RandomValue]. Please use either MessageBody or MessageAttributes"
	if says(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func says(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
