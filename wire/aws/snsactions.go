package aws

// snsActions are the actions of SNS that are served.
var snsActions = []action{
	on("CreateTopic", (*Server).createTopic),
	on("DeleteTopic", (*Server).deleteTopic),
	on("ListTopics", (*Server).listTopics),
	on("GetTopicAttributes", (*Server).getTopicAttributes),
	on("SetTopicAttributes", (*Server).setTopicAttributes),
	on("Subscribe", (*Server).subscribe),
	opened(on("ConfirmSubscription", (*Server).confirmSubscription)),
	opened(on("Unsubscribe", (*Server).unsubscribe)),
	on("ListSubscriptions", (*Server).listSubscriptions),
	on("ListSubscriptionsByTopic", (*Server).listSubscriptionsByTopic),
	on("GetSubscriptionAttributes", (*Server).getSubscriptionAttributes),
	on("SetSubscriptionAttributes", (*Server).setSubscriptionAttributes),
	on("Publish", (*Server).publish),
	on("PublishBatch", (*Server).publishBatch),
	on("TagResource", (*Server).tagResource),
	on("UntagResource", (*Server).untagResource),
	on("ListTagsForResource", (*Server).listTagsForResource),
	on("AddPermission", (*Server).addTopicPermission),
	on("RemovePermission", (*Server).removeTopicPermission),
	on("GetDataProtectionPolicy", (*Server).getDataProtectionPolicy),
	on("PutDataProtectionPolicy", (*Server).putDataProtectionPolicy),
}

// snsUnbuilt are those for text messages and for mobile phones.
var snsUnbuilt = []string{
	"CheckIfPhoneNumberIsOptedOut", "CreatePlatformApplication", "CreatePlatformEndpoint",
	"CreateSMSSandboxPhoneNumber", "DeleteEndpoint", "DeletePlatformApplication",
	"DeleteSMSSandboxPhoneNumber", "GetEndpointAttributes", "GetPlatformApplicationAttributes",
	"GetSMSAttributes", "GetSMSSandboxAccountStatus", "ListEndpointsByPlatformApplication",
	"ListOriginationNumbers", "ListPhoneNumbersOptedOut", "ListPlatformApplications",
	"ListSMSSandboxPhoneNumbers", "OptInPhoneNumber", "SetEndpointAttributes",
	"SetPlatformApplicationAttributes", "SetSMSAttributes", "VerifySMSSandboxPhoneNumber",
}
