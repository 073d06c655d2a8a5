"""Every error code of the contract facts has a class; unknown ones are classed by their form."""

import pytest

from shared.domain.catalogue import CATALOGUE
from shared.domain.faultbook import (
    FAULTS,
    FaultClass,
    Guide,
    class_of,
    finding_for,
    guides_of,
    known,
)
from shared.domain.findings import Severity

T, W, C, P, X = (
    FaultClass.TRANSIENT,
    FaultClass.WAIT,
    FaultClass.CONFLICT,
    FaultClass.PERMANENT,
    FaultClass.OURS,
)

# Written from facts §2 by hand, apart from the book.
EXPECTED: dict[FaultClass, str] = {
    T: """ResourceRequestsThrottled SubscriptionRequestsThrottled TooManyRequests GatewayTimeout
    RestApiInternalError InternalServerError CloudInternalError 130001 CloudStorageUnexpectedError
    CloudCommunicationError CloudTimeoutError InvalidGatewayHost BMSUserErrorObjectLocked 390026
    BMSUserErrorConflictingProtectionOperation DiscoveryInProgress 410002
    UserErrorRpCollectionDeleted 400288 UserErrorRpCollectionMarkedForDeletion
    BackUpOperationFailed 400002 BackUpOperationFailedV2 400052 BCMCrpInternalError
    ManagedRPCreationFailedInCrpButExtensionSucceeded ExtensionOperationInProgress
    ExtensionFailedSnapshotRateExceededError""",
    W: """UserErrorGuestAgentStatusUnavailable 400196 UserErrorVmNotInDesirableState
    UserErrorVmProvisioningStateFailed UserErrorCrpReportedUserError 400349
    GuestAgentSnapshotTaskStatusError ExtensionSnapshotFailedNoNetwork AzureVmOffline 380008
    UserErrorProt32dAllocationPending""",
    C: """ResourceNotFound 320001 OperationNotAllowed BMSUserErrorDataSourceObjectNotFound
    BMSUserErrorPolicyObjectInUse BMSUserErrorContainerHasDatasources VirtualMachineAlreadyProtected
    UserErrorVmNotFoundV2 400136 UserErrorVmNotFound UserErrorGenericResourceNotFound 400309
    BCMV2VMNotFound 400094 UserErrorBcmDatasourceNotPresent UserErrorBackupOperationInProgress
    UserErrorJobSuccessfullyCancelled 400158 RestoreOperationFailed 400003
    UserErrorBCMRestoreStorageAccountNotFound 400048 380016""",
    P: """ResourceGroupNotFound SubscriptionNotFound InvalidSubscriptionId ScopeLocked
    RequestDisallowedByPolicy BMSUserErrorInvalidConfigureProtectionRequest BMSUserErrorInvalidInput
    UserErrorProtectionQuotaExceeded
    UserErrorMigrationFromTrustedLaunchVMToNonTrustedVMNotAllowed UserErrorBCMUnsupportedDiskCount
    UserErrorUnsupportedDiskSize UserErrorSharedDiskBackupNotSupported
    UserErrorWAEnabledDisksNotSupported UserErrorInvalidManagedDiskOperation
    UserErrorUnsupportedStorageType UserErrorUnsupportedDiskConfiguration
    UserErrorStandardSSDNotSupported UserErrorComputeVmWithClassicStorage
    UserErrorUnSupportedDistribution UserErrorGuestAgentVersionUnsupported
    UserErrorKeyVaultPermissionsNotConfigured UserErrorInvalidVMEncryptionInfo
    UserErrorRequestDisallowedByPolicy UserErrorResourceIsInLockedState
    UserErrorRpCollectionLimitReached UserErrorOperationDeniedOnImmutableItem
    ExtensionFailedVssWriterInBadState ExtensionFailedVssServiceInBadState ExtensionSnapshotFailedCOM
    ExtensionInstallationFailedCOM ExtensionInstallationFailedMDTC
    ExtensionVCRedistInstallationFailure ExtensionConfigParsingFailure ExtensionStuckInDeletionState
    ExtensionFailedOutOfMemoryError GuestAgentPluginInstallCommandProcessingFailed
    GuestAgentCertificateNotFound NoExtensionStatusButStatusBlobAvailable UserErrorFsFreezeFailed
    UserErrorFsFreezeTimeout UserErrorUnableToOpenMount VMRestorePointInternalError
    ExtensionFailedSnapshotLimitReachedError UserErrorBCMPremiumStorageQuotaError
    ServiceResourceNotEmptyWithBackendMessage BMSUserErrorVaultDeletionForbidden
    BMSUserErrorVaultDeletionNotAllowed BMSUserErrorVaultDeletionNotPermitted""",
    X: """MissingSubscriptionRegistration AuthorizationFailed LinkedAuthorizationFailed
    BMSUserErrorPolicyRetentionInvalid UserErrorVmVaultLocationMismatch""",
}
ROWS = [
    pytest.param(code, kind, id=code) for kind, codes in EXPECTED.items() for code in codes.split()
]


@pytest.mark.parametrize("code, kind", ROWS)
def test_a_code_of_the_facts_has_its_class_and_a_finding_that_says_what_to_do(code, kind) -> None:
    answer = known(code)
    assert answer.kind is kind
    assert answer.fault is not None
    found = finding_for(code, "Azure's words")
    assert found.code in CATALOGUE
    assert found.evidence == f"{code}: Azure's words"
    assert found.remedies
    assert found.source
    assert found.source_date
    assert class_of(code.upper()) is kind


def test_the_book_holds_nothing_that_is_not_expected_here() -> None:
    expected = {word for codes in EXPECTED.values() for word in codes.split()}
    ours = {fault.code for fault in FAULTS if fault.says}
    assert {fault.code for fault in FAULTS} - ours <= expected


@pytest.mark.parametrize(
    "code, status, message, kind",
    [
        pytest.param("Whatever", 408, "", T, id="408"),
        pytest.param("Whatever", 429, "", T, id="429"),
        pytest.param("OperationNotAllowed", 429, "", T, id="a known code with 429 is throttling"),
        pytest.param("Whatever", 503, "", T, id="5xx"),
        pytest.param("", 504, "", T, id="5xx without a code"),
        pytest.param("Whatever", 409, "Another operation is in progress", T, id="409 in progress"),
        pytest.param("Whatever", 409, "The VM is locked", T, id="409 lock"),
        pytest.param("BMSUserErrorSomethingInProgress", 0, "", T, id="in progress"),
        pytest.param("UserErrorGuestAgentIsDreaming", 0, "", W, id="guest agent"),
        pytest.param("UserErrorVmNotInDesirableStateAtAll", 0, "", W, id="not in desirable state"),
        pytest.param("UserErrorProvisioningStateOdd", 0, "", W, id="provisioning state"),
        pytest.param("UserErrorVmDiskNotFound", 0, "", C, id="not found"),
        pytest.param("BMSUserErrorPolicyNotFound", 400, "", C, id="not found with 400"),
        pytest.param("UserErrorNew", 0, "", P, id="UserError"),
        pytest.param("BMSUserErrorNew", 400, "", P, id="BMSUserError"),
        pytest.param("CloudNew", 0, "", T, id="Cloud"),
        pytest.param("SomethingInternalError", 0, "", T, id="internal error"),
        pytest.param("NewAuthorizationFailed", 0, "", X, id="authorization"),
        pytest.param("Whatever", 401, "", X, id="401"),
        pytest.param("Whatever", 403, "", X, id="403"),
        pytest.param("Whatever", 400, "", P, id="400"),
        pytest.param("Whatever", 0, "", T, id="unknown"),
        pytest.param("", 0, "", T, id="nothing at all"),
        pytest.param(
            "X",
            0,
            "Virtual machine is already registered\\registering with another vault",
            C,
            id="words of a code nobody saw",
        ),
        pytest.param(
            "X",
            403,
            "ResourceGuard Operation requestid is either null or empty",
            X,
            id="words of the resource guard",
        ),
    ],
)  # fmt: skip
def test_an_unknown_code_is_classed_by_status_prefix_and_words(code, status, message, kind) -> None:
    assert class_of(code, status, message) is kind


@pytest.mark.parametrize(
    "code, severity",
    [
        pytest.param("GatewayTimeout", Severity.WAIT, id="transient"),
        pytest.param("UserErrorGuestAgentStatusUnavailable", Severity.WAIT, id="wait"),
        pytest.param("ResourceNotFound", Severity.WAIT, id="conflict"),
        pytest.param("UserErrorUnsupportedDiskSize", Severity.BLOCKER, id="permanent"),
        pytest.param("AuthorizationFailed", Severity.BLOCKER, id="ours"),
    ],
)
def test_the_severity_follows_the_class(code, severity) -> None:
    assert finding_for(code, "").severity is severity


def test_the_caller_who_counted_the_tries_may_make_it_a_blocker() -> None:
    assert finding_for("Unknown", "", severity=Severity.BLOCKER).severity is Severity.BLOCKER


def test_a_failed_first_backup_is_not_called_a_failed_enable() -> None:
    found = finding_for("ExtensionSnapshotFailedNoNetwork", "no way")
    assert found.code == "FIRST_BACKUP_FAILED"
    assert found.text.startswith("The first backup failed: ")
    other = finding_for("UserErrorNew", "x", finding_code="FIRST_BACKUP_FAILED")
    assert other.text.startswith("The first backup failed: ")


def test_a_code_we_do_not_know_is_shown_raw_with_azures_own_recommendation() -> None:
    found = finding_for("UserErrorNew", "It\r\nbroke.", 0, ["Mend it.", " "])
    assert found.code == "ENABLE_FAILED"
    assert "UserErrorNew" in found.text
    assert found.evidence == "UserErrorNew: It broke."
    assert found.remedies[0].text == "Mend it."


def test_agent_and_network_codes_call_for_those_checks() -> None:
    assert guides_of("UserErrorGuestAgentStatusUnavailable") == (Guide.AGENT, Guide.NETWORK)
    assert guides_of("ExtensionSnapshotFailedNoNetwork") == (Guide.AGENT, Guide.NETWORK)
    assert guides_of("UserErrorUnsupportedDiskSize") == ()
    assert guides_of("ExtensionNewNetworkTrouble") == (Guide.AGENT, Guide.NETWORK)
    links = [one.link for one in finding_for("UserErrorGuestAgentStatusUnavailable", "").remedies]
    assert any("snapshot-timeout" in link for link in links)


def test_hostile_words_of_an_answer_stay_one_printable_line() -> None:
    found = finding_for("X\x1b[31m", "a\n\u202eb" + "c" * 9000, 0, ["\x00r\nq"])
    assert "\x1b" not in found.evidence + found.text
    assert "\u202e" not in found.evidence
    assert len(found.evidence) < 700
    assert found.remedies[0].text == "r q"
