"""What AWS does with a session's policy and moto does not: refuse what the policy does not allow.

`authorizations` says which actions on which resources a request of EC2 is checked for, after AWS's service
authorization reference; `allows` judges a document with the operators that the program's documents use and raises on
any other. Only session policies are judged: what the role itself may do is everything, unless a test gives the account
a table of rights (`POST /_front/rights`).
"""

import fnmatch

NOUNS = {"i": "instance", "vol": "volume", "snap": "snapshot", "ami": "image", "eipalloc": "elastic-ip",
         "eni": "network-interface", "sg": "security-group", "subnet": "subnet", "vpc": "vpc", "nat": "natgateway"}
# Owned by nobody in particular, as their ARNs say it.
WITHOUT_ACCOUNT = ("snapshot", "image")
# What an operation makes, and what it touches besides the resources that it names.
MAKES = {"AllocateAddress": ("elastic-ip",), "CreateSnapshot": ("snapshot",), "CreateSnapshots": ("snapshot",),
         "CreateVolume": ("volume",), "RegisterImage": ("image",), "RunInstances": ("instance", "volume", "network-interface")}
ALONG = {"CreateSnapshots": ("volume/vol-0attached",)}


def authorizations(request):
    """A list of (action, resources, context)."""
    operation, parameters = request["operation"], request["parameters"]

    def arn(noun, name):
        account = "" if noun in WITHOUT_ACCOUNT else request["account"]
        return f"arn:aws:ec2:{request['region']}:{account}:{noun}/{name}"

    context = {"aws:RequestedRegion": [request["region"]]}
    keys = [value for name, value in parameters.items() if name.endswith(".Key") and name.split(".")[-3] == "Tag"]
    named = [arn(NOUNS.get(target.split("-")[0], "unknown"), target) for target in request["targets"]]
    along = [arn(*what.split("/")) for what in ALONG.get(operation, ())]
    made = [arn(noun, "*") for noun in MAKES.get(operation, ())]
    own = {**context, **{f"aws:ResourceTag/{key}": [value] for key, value in request.get("tags", {}).items()}}
    for name, key in parameters.items():
        if name.endswith(".Key") and name.startswith("TagSpecification."):
            own[f"aws:RequestTag/{key}"] = [parameters.get(name[:-4] + ".Value", "")]
    if operation in ("CreateTags", "DeleteTags"):
        own["aws:TagKeys"] = keys
    if operation == "ModifyInstanceAttribute":
        own.update({f"ec2:Attribute/{name[:-6]}": [value] for name, value in parameters.items() if name.endswith(".Value")})
    checks = [(f"ec2:{operation}", named + along + made or ["*"], own)]
    if made and keys:
        # The program tags what it launches, not the disks and interfaces that come with it.
        tagged = made[:1] if operation == "RunInstances" else made
        checks.append(("ec2:CreateTags", tagged, {**context, "ec2:CreateAction": [operation], "aws:TagKeys": keys}))
    return checks


def allows(document, action, resource, context):
    """An explicit deny wins, then an allow, else no."""
    allowed = False
    for statement in listed(document["Statement"]):
        if not applies(statement, action, resource, context):
            continue
        if statement["Effect"] == "Deny":
            return False
        allowed = True
    return allowed


def permitted(document, request):
    """Whether a session's policy lets an EC2 request through."""
    return all(
        allows(document, action, resource, context)
        for action, resources, context in authorizations(request)
        for resource in resources
    )


def applies(statement, action, resource, context):
    if "NotAction" in statement:
        met = action not in listed(statement["NotAction"])
    else:
        met = action in listed(statement["Action"])
    return (
        met
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and all(
            holds(operator, context.get(key), listed(wanted))
            for operator, block in statement.get("Condition", {}).items()
            for key, wanted in block.items()
        )
    )


def holds(operator, found, wanted):
    if operator in ("StringEquals", "Bool"):
        return found is not None and any(value in wanted for value in found)
    if operator == "StringNotEquals":
        return found is None or all(value not in wanted for value in found)
    if operator == "ForAllValues:StringEquals":
        return all(value in wanted for value in found or [])
    if operator == "Null":
        return (wanted == ["true"]) == (found is None)
    raise ValueError(f"the front's judge does not know {operator!r}")


def listed(value):
    return value if isinstance(value, list) else [value]
