"""The policy's own sentences: what each demands and which code answers it.

The text is that of MNsure's *Assister Portal Access Policy*. Ids follow its numbering; a letter
distinguishes the sentences of one numbered item. ``docs/policy-traceability.md`` is generated from
this table and from the tests that name an id.
"""

from typing import NamedTuple


class Clause(NamedTuple):
    """One sentence of the policy.

    Attributes:
        id: The policy's numbering, as people cite it.
        sentence: The policy's words, unchanged.
        rule: Dotted name of the code that answers it, empty where it demands nothing.
    """

    id: str
    sentence: str
    rule: str


CLAUSES: tuple[Clause, ...] = (
    Clause(
        "scope",
        "This policy applies to assister portal access for navigators and certified application"
        " counselors.",
        "policy.requirements.AssisterType",
    ),
    Clause(
        "purpose",
        "MNsure's Assister Portal is a secure, single point of access that allows MNsure-certified"
        " assisters to view and manage tasks for consumers they are helping.",
        "",
    ),
    Clause(
        "explains",
        "The following policy and procedure explains how MNsure-certified navigators and certified"
        " application counselors (described as assisters throughout this page for simplicity) can"
        " gain access to MNsure’s assister portal to help consumers.",
        "",
    ),
    Clause(
        "before",
        "Before MNsure will set up an assister portal account for a navigator or CAC, the"
        " individual must:",
        "policy.requirements.Evidence.missing",
    ),
    Clause(
        "before.1",
        "Have approval from their organization’s Agency Administrator",
        "policy.requirements.Requirement.APPROVAL",
    ),
    Clause(
        "before.2",
        "Have all certification requirements up to date",
        "policy.requirements.Requirement.CERTIFICATION",
    ),
    Clause(
        "before.3",
        "Complete the required assister portal training",
        "policy.requirements.Requirement.TRAINING",
    ),
    Clause(
        "before.4",
        "Achieve a passing score on the assister portal assessment",
        "policy.requirements.Requirement.ASSESSMENT",
    ),
    Clause(
        "1",
        "The authorized agency contact needs to submit the appropriate roster (navigator or CAC)"
        " online in the Agency Management Program (AMP) and approve access to the assister portal.",
        "services.rosters.submit_roster",
    ),
    Clause(
        "1.1",
        "In the “Assister Portal Access” field, a “Yes” indicates that the assister is approved by"
        " the organization to have an assister portal account.",
        "policy.roster.read_access",
    ),
    Clause(
        "1.2a",
        "The email address provided in the “Certification Information” fields must be an email"
        " unique to the assister.",
        "policy.addresses.mailbox_key",
    ),
    Clause(
        "1.2b",
        "Generic emails, such as info@ or intern@, are not acceptable for creating an assister"
        " portal account.",
        "policy.addresses.is_generic",
    ),
    Clause(
        "1.3a",
        "Assisters must enter contact information in the “Public Facing Information” fields that"
        " will be displayed to a consumer under “Assister Details” in their MNsure online account.",
        "policy.roster.judge",
    ),
    Clause(
        "1.3b",
        "The phone number and email entered in these fields may be a centralized contact and does"
        " not need to be unique to the assister.",
        "policy.roster.judge",
    ),
    Clause(
        "1.4",
        "More information on how to submit roster updates is available in the Submitting"
        " Organization Rosters policy and procedures.",
        "",
    ),
    Clause(
        "2a",
        "The assister completes the assister portal training course and accompanying assessment in"
        " the MNsure Learning Center.",
        "policy.requirements.Evidence",
    ),
    Clause(
        "2b",
        "Assisters will use the same Unique Key/Training ID to access the assister portal training"
        " as they use to access their certification and recertification training.",
        "policy.roster.TRAINING_ID",
    ),
    Clause(
        "2c",
        "For more instructions on how to locate and complete the course, refer to the Navigator and"
        " CAC Training Information page.",
        "",
    ),
    Clause("2.1", "The course will take approximately 60 minutes to complete.", ""),
    Clause(
        "2.2",
        "The assessment requires a 70% to achieve mastery.",
        "policy.terms.Terms.mastery",
    ),
    Clause(
        "3",
        "Once an assister has met all the requirements outlined above, the Assister Resource Center"
        " will enroll the assister in the assister portal.",
        "policy.case.Case.due",
    ),
    Clause(
        "3.1a",
        "The assister will receive an account activation email automatically generated by the"
        " system with instructions for setting up their assister portal account.",
        "policy.case.Case.issued",
    ),
    Clause(
        "3.1b",
        "If an assister cannot find the activation email, they can contact the Assister Resource"
        " Center for help.",
        "mail.templates.render",
    ),
    Clause(
        "3.2",
        "Once the assister has activated their assister portal account, they will receive a"
        " separate email directly from the Assister Resource Center confirming their account has"
        " been created.",
        "policy.case.Case.confirm",
    ),
    Clause(
        "3.3",
        "If an assister forgets their assister portal reference number, Authorized agency contacts"
        " can lookup an individuals assister portal reference number in AMP.",
        "records.people.assister_of",
    ),
)

BY_ID = {clause.id: clause for clause in CLAUSES}
