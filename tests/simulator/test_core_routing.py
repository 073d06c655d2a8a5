import pytest

from simulator.arm import Reply, Route
from simulator.ids import ResourceId
from simulator.routing import Router


def route(method: str, template: str) -> Route:
    return Route(
        method=method,
        template=template,
        operation=template,
        action="",
        handler=lambda _world, _call: Reply(status=200),
        truth="assumed",
        source="test",
    )


ITEM = (
    "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.RecoveryServices/vaults/{v}"
    "/backupFabrics/Azure/protectionContainers/{c}/protectedItems/{i}"
)
ROUTER = Router(
    [
        route("GET", ITEM),
        route("PUT", ITEM),
        route("GET", "/subscriptions/{s}/providers/{namespace}"),
        route("GET", "/subscriptions/{s}/providers/Microsoft.Compute/virtualMachines"),
        route("PUT", "{scope}/providers/Microsoft.Resources/tags/default"),
    ]
)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            "/subscriptions/S/resourceGroups/RG/providers/Microsoft.RecoveryServices/vaults/v/"
            "backupFabrics/Azure/protectionContainers/IaasVMContainer;a;b/protectedItems/VM;a;b",
            id="recorded: semicolons raw",
        ),
        pytest.param(
            "/Subscriptions/S/resourcegroups/RG/PROVIDERS/microsoft.recoveryservices/Vaults/v/"
            "backupfabrics/azure/protectioncontainers/IaasVMContainer%3Ba%3bb/protecteditems/"
            "VM%3Ba%3Bb/",
            id="recorded: any case, percent-encoded, trailing slash",
        ),
    ],
)
def test_one_item_is_found_however_it_is_spelled(path: str) -> None:
    match = ROUTER.match("GET", path)
    assert match is not None
    assert match.route.template == ITEM
    assert match.params["c"] == "IaasVMContainer;a;b"
    assert match.params["i"] == "VM;a;b"
    assert match.params["rg"] == "RG"


def test_a_literal_is_preferred_to_a_capture() -> None:
    one = ROUTER.match("GET", "/subscriptions/s/providers/Microsoft.Compute")
    many = ROUTER.match("GET", "/subscriptions/s/providers/Microsoft.Compute/virtualMachines")
    assert one is not None
    assert one.params["namespace"] == "Microsoft.Compute"
    assert many is not None
    assert "namespace" not in many.params


def test_an_extension_route_answers_below_any_scope() -> None:
    vm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v"
    for scope in (vm, "/subscriptions/s", ""):
        match = ROUTER.match("PUT", f"{scope}/providers/Microsoft.Resources/tags/default")
        assert match is not None
        assert match.params["scope"] == scope


@pytest.mark.parametrize("path", ["/", "/subscriptions/s/nothing", "/subscriptions//x"])
def test_other_paths_match_nothing(path: str) -> None:
    assert ROUTER.match("GET", path) is None


def test_a_route_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        Router([route("GET", "/a/{x}"), route("GET", "/a/{y}")])


@pytest.mark.parametrize(
    "text,kind,name,group,scope",
    [
        ("/subscriptions/s", "Microsoft.Resources/subscriptions", "s", "", ""),
        (
            "/subscriptions/s/resourceGroups/g",
            "Microsoft.Resources/subscriptions/resourceGroups",
            "g",
            "g",
            "",
        ),
        (
            "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/v",
            "Microsoft.Compute/virtualMachines",
            "v",
            "g",
            "",
        ),
        (
            "/subscriptions/s/resourceGroups/g/providers/A.B/c/d/providers/X.Y/locks/l",
            "X.Y/locks",
            "l",
            "g",
            "/subscriptions/s/resourceGroups/g/providers/A.B/c/d",
        ),
    ],
    ids=["subscription", "group", "vm", "extension"],
)
def test_an_id_is_split_into_its_words(
    text: str, kind: str, name: str, group: str, scope: str
) -> None:
    rid = ResourceId.parse(text)
    assert (rid.type, rid.name, rid.group, rid.scope) == (kind, name, group, scope)


@pytest.mark.parametrize("text", ["", "subscriptions/s", "/subscriptions//x", "/a/b", "/a/b/c"])
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a resource id"):
        ResourceId.parse(text)
