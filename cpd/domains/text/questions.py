"""Kinds of question that can be asked about the texts of ICD-10-CM, by the words and the codes of the list.

A kind is a property of a diagnosis (the side of the body, the degree of a burn) with its values, and for each of them a
pattern that says which texts have it, as :mod:`cpd.domains.text.words` reads them. No text is here, and no task.

Source: ours; the words are those of ICD-10-CM.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A property of a diagnosis.

    Attributes:
        noun: the property.
        values: name of a value -> pattern that says which texts have it.
        texts: which texts are asked about: names of diagnoses, or names with the visit that they are coded for.
    """

    noun: str
    values: dict[str, str]
    texts: str = "names"


def _same(*words: str) -> dict[str, str]:
    return {word: word for word in words}


_PARTS = (
    "eye", "ear", "side", "hand", "foot", "arm", "leg", "hip", "knee", "ankle", "wrist", "elbow", "shoulder",
    "forearm", "upper arm", "lower leg", "thigh", "finger", "thumb", "femur", "tibia", "fibula", "humerus",
    "radius", "ulna", "breast", "ovary", "kidney", "lung", "upper extremity", "lower extremity", "eyelid",
)  # fmt: skip
_NO_SIDE = "|".join(f"unspecified {part}" for part in _PARTS)

KINDS: dict[str, Kind] = {
    "side": Kind("side of the body", {
        "left side": "left", "right side": "right", "both sides": "bilateral|both eyes|both ears|both sides",
        "unspecified side": _NO_SIDE,
    }),
    "course": Kind("course of the disease", {
        "acute": "acute", "chronic": "chronic", "subacute": "subacute", "recurrent": "recurrent|relapsing",
        "persistent": "persistent", "intermittent": "intermittent", "transient": "transient|transitory",
        "progressive": "progressive",
    }),
    "precision": Kind("precision of the name", {
        "unspecified form": "unspecified", "other specified form": "other specified", "not otherwise specified": "nos",
        "not elsewhere classified": "not elsewhere classified",
        "in a disease classified elsewhere": "in diseases classified elsewhere|"
        "in other diseases classified elsewhere",
    }),
    "reason": Kind("reason for contact with health services", {
        "personal history of a disease": "personal history", "family history of a disease": "family history",
        "screening": "screening|@Z", "presence of an implant": "presence|@Z95|@Z96|@Z97",
        "loss of a body part": "acquired absence", "contact with a danger to health": "contact with|exposure to|@Z",
        "problems of living": "@Z55|@Z56|@Z57|@Z58|@Z59|@Z60|@Z61|@Z62|@Z63|@Z64|@Z65",
        "examination": "examination|@Z", "fitting of a device": "fitting|adjustment|@Z", "counseling": "counsel*|@Z",
        "body mass and way of life": "@Z68|@Z72|@Z73", "unborn child and birth": "@Z34|@Z36|@Z37|@Z38|@Z3A",
    }),
    "road_user": Kind("person hurt in traffic", {
        "pedestrian": "@V0", "pedal cyclist": "@V1", "motorcycle rider": "@V2", "three-wheeler occupant": "@V3",
        "car occupant": "@V4", "pick-up truck and van occupant": "@V5", "heavy truck occupant": "@V6",
        "bus occupant": "@V7", "rider of animals and special vehicles": "@V80|@V81|@V82|@V83|@V84|@V85|@V86",
        "person on a boat": "@V90|@V91|@V92|@V93|@V94", "person in an aircraft": "@V95|@V96|@V97",
    }),
    "counterpart": Kind("opponent in a collision", {
        "collision with a walker": "collision with pedestrian or animal|collision with animal",
        "collision with a pedal cycle": "collision with pedal cycle",
        "collision with a motorcycle": "collision with two or three wheeled motor vehicle",
        "collision with a car": "collision with car*",
        "collision with a heavy vehicle": "collision with heavy transport vehicle*",
        "collision with a train": "collision with railway train*",
        "collision with a nonmotor vehicle": "collision with other nonmotor vehicle*",
        "collision with a fixed object": "collision with fixed*|collision with stationary*",
        "no collision": "noncollision*",
    }),
    "role": Kind("role of the person in the vehicle", {
        "driver": "driver", "passenger": "passenger", "person on the outside": "person on outside",
        "boarding and alighting": "boarding|alighting|entering|@V",
        "unspecified occupant": "unspecified occupant|unspecified car occupant",
    }),
    "traffic": Kind("place of a transport accident", {
        "traffic accident": "traffic accident", "nontraffic accident": "nontraffic accident",
        "accident on the water": "@V90|@V91|@V92|@V93|@V94", "accident in the air": "@V95|@V96|@V97",
    }),
    "cause": Kind("outside cause of the injury", {
        "fall and jump": "fall*|jump*|tripping|slipping|@W|@X8|@Y", "drowning": "drown*",
        "fire and heat": "fire|flame*|hot|!fire engine", "firearm": "firearm*|gun*|rifle*|handgun*|shotgun*|pistol",
        "explosion": "explosion*|blast|explosive*", "machine and tool": "machine*|tool*|@W2|@W3",
        "sport and activity": "@Y93", "medical procedure": "@Y6|@Y7|@Y81|@Y82|@Y83|@Y84",
        "weather and force of nature": "@X3", "abuse and neglect": "abuse|neglect|maltreatment|@T74|@T76|@Y07",
    }),
    "intent": Kind("intent behind an injury", {
        "accident without intent": "@W|@X0|@X1|@X3|@X5", "self-harm": "@X7|@X80|@X81|@X82|@X83",
        "assault by another person": "@X92|@X93|@X94|@X95|@X96|@X97|@X98|@X99|@Y0",
        "undetermined intent": "@Y2|@Y30|@Y31|@Y32|@Y33", "act of the police": "@Y35",
        "war and military operation": "@Y36|@Y37", "act of terrorism": "@Y38",
    }),
    "poisoning": Kind("intent of a poisoning", {
        "accidental poisoning": "accidental|@T3|@T4|@T50|@T51|@T52|@T53|@T54|@T55|@T56|@T57|@T58|@T59|@T6",
        "poisoning as self-harm": "self harm|@T3|@T4|@T5|@T6", "poisoning by assault": "assault|@T3|@T4|@T5|@T6",
        "poisoning of undetermined intent": "undetermined|@T3|@T4|@T5|@T6",
        "adverse effect of a medicine": "adverse effect|@T3|@T4|@T5", "too low a dose": "underdosing|@T3|@T4|@T5",
    }),
    "behavior": Kind("behavior of the tumor", {
        "malignant tumor": "malignant|!secondary|@C", "secondary malignant tumor": "secondary|metasta*|@C",
        "tumor in situ": "in situ|@D0", "benign tumor": "benign|@D1|@D2|@D3",
        "tumor of uncertain behavior": "uncertain|@D3|@D4", "leukemia": "leukemia", "lymphoma": "*lymphoma",
    }),
    "tumor_site": Kind("site of the tumor", {
        "tumor of the skin": "skin|@C4|@D0|@D2", "tumor of the breast": "breast|@C|@D0|@D2|@D4",
        "tumor of bone": "bone*|@C|@D1", "tumor of lymph nodes": "lymph nodes|@C", "tumor of the eye": "@C69|@D31",
        "tumor of digestive organs": "@C15|@C16|@C17|@C18|@C2|@D12",
        "tumor of the mouth and throat": "@C0|@C10|@C11|@C12|@C13|@C14|@D10",
        "tumor of genital organs": "@C5|@C60|@C61|@C62|@C63|@D27|@D28|@D29",
        "tumor of the brain and nerves": "@C70|@C71|@C72|@D32|@D33|@D42|@D43",
    }),
    "trimester": Kind("trimester of pregnancy", _same(
        "first trimester", "second trimester", "third trimester", "unspecified trimester",
    )),
    "motherhood": Kind("time around a birth", {
        "during pregnancy": "complicating pregnancy|in pregnancy|trimester", "during childbirth": "childbirth|labor",
        "after the birth": "puerperium|puerperal|postpartum|lactation",
        "miscarriage and abortion": "abortion|miscarriage|termination of pregnancy|"
        "ectopic pregnancy|molar pregnancy|hydatidiform mole|ectopic and molar pregnancy",
    }),
    "person": Kind("person spoken of", {
        "newborn child": "newborn|neonatal|perinatal", "fetus": "fetal|fetus",
        "child and youth": "child|childhood|infantile|juvenile", "adult": "adult",
        "elderly person": "senile|age related|presenile|elderly", "male": "male|men|testis|penis|prostate",
        "female": "female|women|vagina*|uter*|ovar*", "mother": "maternal|mother",
    }),
    "germs": Kind("kind of germ", {
        "bacterial infection": "@A00|@A01|@A02|@A03|@A04|@A05|@A1|@A2|@A3|@A4|@A5",
        "viral infection": "@A8|@A9|@B0|@B1|@B2|@B30|@B33|@B34", "fungal infection": "@B35|@B36|@B37|@B38|@B39|@B4",
        "infection by a parasite": "@B5|@B6|@B7|@B80|@B81|@B82|@B83",
    }),
    "germ": Kind("germ or infection", {
        "tubercular infection": "tubercul*", "syphilis": "syphil*", "gonorrhea": "gonoco*|gonorrh*",
        "streptococcus": "streptococc*", "staphylococcus": "staphylococc*", "herpes": "herpes*|herpetic|zoster",
        "influenza": "influenza*", "hepatitis": "hepatitis", "candida": "candid*", "sepsis": "sepsis|septic*",
    }),
    "complication": Kind("complication", {
        "with bleeding": "with hemorrhage|with bleeding|with rectal bleeding|with acute hemorrhage",
        "with obstruction": "with obstruction|with intestinal obstruction",
        "with perforation": "with perforation|and perforation", "with abscess": "with abscess",
        "with gangrene": "with gangrene|and gangrene", "with ulceration": "with ulceration|with ulcer",
        "without complication": "without complication*|uncomplicated",
        "without obstruction and gangrene": "without obstruction*|without gangrene",
    }),
    "wound_content": Kind("finding at a wound", _same(
        "with foreign body", "without foreign body", "with damage to nail", "without damage to nail",
        "without penetration", "with penetration",
    )),
    "displacement": Kind("displacement of a fracture", {
        "displaced fracture": "displaced", "nondisplaced fracture": "nondisplaced",
        "unspecified fracture": "unspecified fracture", "other fracture": "other fracture",
    }),
    "fracture": Kind("pattern of a fracture", {
        "transverse fracture": "transverse|@S", "oblique fracture": "oblique|@S", "spiral fracture": "spiral|@S",
        "comminuted fracture": "comminuted|@S", "segmental fracture": "segmental|@S", "torus fracture": "torus",
        "pathological fracture": "pathological fracture*", "stress fracture": "stress fracture|fatigue fracture",
        "physeal fracture": "physeal fracture|!salter*", "Salter-Harris fracture": "salter*",
    }),
    "wound": Kind("kind of injury", {
        "laceration": "laceration", "puncture wound": "puncture wound", "open bite": "open bite|@S",
        "bruise": "contusion", "abrasion": "abrasion", "blister": "blister", "insect bite": "insect bite",
        "constriction": "external constriction", "crushing": "crush*", "amputation": "amputation|@S",
        "dislocation": "dislocation", "subluxation": "subluxation", "sprain": "sprain", "strain": "strain",
        "injury by frost": "frostbite", "burn by heat": "burn|burns|!corrosion", "burn by a chemical": "corrosion",
        "broken bone": "fracture", "foreign body in the body": "foreign body in|superficial foreign body",
    }),
    "degree": Kind("degree of a burn", _same(
        "first degree", "second degree", "third degree", "unspecified degree",
    )),
    "substance": Kind("substance used", {
        "alcohol": "alcohol*", "opioids": "opioid*|opiate*|heroin|morphine", "cannabis": "cannabis|marijuana",
        "sedatives": "sedative*|hypnotic*|barbiturate*", "cocaine": "cocaine", "stimulants": "stimulant*|amphetamine*",
        "hallucinogens": "hallucinogen*", "tobacco": "nicotine|tobacco|smok*|cigarette*", "inhalants": "inhalant*",
    }),
    "habit": Kind("pattern of substance use", {
        "abuse of a substance": "abuse|@F1", "dependence on a substance": "dependence|@F1",
        "use of a substance without more": "use|!use disorder|@F1", "in remission": "remission|@F1",
    }),
    "intoxication": Kind("consequence of substance use", {
        "with intoxication": "intoxication|@F1", "with withdrawal": "withdrawal|@F1", "with delirium": "delirium|@F1",
        "with psychosis": "psychotic|psychosis|@F1", "with mood disorder": "mood disorder|depressive|bipolar|@F1",
        "with anxiety disorder": "anxiety disorder|@F1", "with dementia": "dementia|amnes*|neurocognitive|@F1",
        "with a sleep and sexual disorder": "sleep disorder|sexual dysfunction|@F1",
    }),
    "arm": Kind("part of the arm", {
        "finger": "finger|fingers|thumb", "hand": "hand|!wrist and hand", "wrist": "wrist|!wrist and hand",
        "forearm": "forearm", "elbow": "elbow", "upper arm": "upper arm|humerus|!shoulder and upper arm",
        "shoulder": "shoulder|!shoulder and upper arm",
    }),
    "leg": Kind("part of the leg", {
        "hip": "hip|!hip and thigh", "thigh": "thigh|femur|!hip and thigh", "knee": "knee|patella*",
        "lower leg": "lower leg|tibia|fibula|calf", "ankle": "ankle|!ankle and foot",
        "foot": "foot|heel|midfoot|!ankle and foot", "toe": "toe|toes",
    }),
    "digit": Kind("finger or toe", _same(
        "thumb", "index finger", "middle finger", "ring finger", "little finger", "great toe", "lesser toe",
    )),
    "severity": Kind("severity", {
        "mild": "mild", "moderate": "moderate", "severe": "severe",
        "unspecified severity": "unspecified severity|severity unspecified",
    }),
    "depth": Kind("depth of an ulcer", {
        "stage 1 ulcer": "stage 1|@L89", "stage 2 ulcer": "stage 2|@L89", "stage 3 ulcer": "stage 3|@L89",
        "stage 4 ulcer": "stage 4|@L89", "breakdown of skin": "breakdown of skin|@L97|@L98",
        "fat layer exposed": "fat layer exposed", "necrosis of muscle": "necrosis of muscle|muscle involvement",
        "necrosis of bone": "necrosis of bone|bone involvement",
        "unstageable ulcer": "unstageable|deep tissue damage|deep tissue injury",
    }),
    "place": Kind("place of the event", {
        "private home": "@Y92.0", "institution where people live": "@Y92.1", "school and public building": "@Y92.2",
        "shop and service area": "@Y92.5", "outdoors and vehicle": "@Y92.8",
    }),
    "connection": Kind("logical connection", {
        "due to something": "due to", "following something": "following|after",
        "associated with something": "associated with", "without something": "without",
        "induced by something": "induced", "excluding something": "except|excluding|not|!not elsewhere classified",
        "involving something": "involving",
    }),
    "spine": Kind("region of the spine", {
        "neck": "cervical|@M|@S", "chest part of the spine": "thoracic|@M|@S", "small of the back": "lumbar|@M|@S",
        "sacrum": "sacr*|@M|@S", "between neck and chest": "cervicothoracic",
        "between chest and loins": "thoracolumbar", "between loins and sacrum": "lumbosacral",
        "nape of the neck": "occipito*",
        "several and unspecified regions of the spine": "multiple sites in spine|site unspecified|"
        "unspecified site|@M4|@M5",
    }),
    "tissue": Kind("tissue", {
        "artery": "artery|arteries", "vein": "vein*|venous", "nerve": "nerve*", "muscle": "muscle*|myositis",
        "tendon": "tendon*|!muscle", "ligament": "ligament*", "bone": "bone*|osteo*", "joint": "joint*|arthr*",
        "cartilage": "cartilage|menisc*|chondro*", "lymph vessel and node": "lymph*",
        "tissue of the skin": "skin|cutaneous|derm*", "spinal cord": "spinal cord",
    }),
    "eye": Kind("part of the eye", {
        "eyelid": "eyelid*", "cornea": "cornea*|kerat*|@H", "retina": "retin*|macula*", "lens": "lens|cataract*",
        "conjunctiva": "conjunctiv*", "iris": "iris|iri*|@H2", "orbit": "orbit*", "tear duct": "lacrimal",
        "optic nerve": "optic", "eye pressure": "glaucoma*", "sight": "vision|visual|blindness",
    }),
    "ear": Kind("part of the ear", {
        "outer ear": "externa|pinna|external ear|auricle|@H6", "middle ear": "media|middle ear",
        "eardrum": "tympanic*|ear drum|myring*", "mastoid": "mastoid*", "hearing": "hearing|deaf*",
        "inner ear": "labyrinth*|vestibul*|inner ear|cochle*",
    }),
    "diabetes": Kind("type of diabetes", {
        "type 1 diabetes": "type 1 diabetes", "type 2 diabetes": "type 2 diabetes",
        "diabetes caused by a drug": "drug or chemical induced diabetes",
        "diabetes caused by another disease": "diabetes mellitus due to underlying",
        "other diabetes": "other specified diabetes",
    }),
    "origin": Kind("origin of the disease", {
        "congenital": "congenital", "acquired": "acquired", "hereditary": "hereditary|familial|inherited|genetic",
        "traumatic": "traumatic|posttraumatic|post traumatic|!non traumatic",
        "nontraumatic": "nontraumatic|spontaneous", "idiopathic": "idiopathic|essential",
        "caused by a procedure": "postprocedural|intraoperative|postoperative|iatrogenic",
        "drug-induced": "drug induced", "secondary": "secondary|!malignant", "primary": "primary",
        "allergic": "allerg*", "caused by radiation": "radiation",
    }),
    "remission": Kind("state of a blood cancer", {
        "not in remission": "not having achieved remission|failed remission", "remission": "in remission|@C",
        "relapse": "in relapse",
    }),
    "device": Kind("trouble with an implant", {
        "implant broken": "breakdown|broken|@T82|@T83|@T84|@T85|@M96|@M97",
        "implant displaced": "displacement|malposition|@T8", "implant leaking": "leak*|@T8",
        "implant infected": "infection|@T8",
    }),
    "operation": Kind("time of a surgical complication", {
        "during the operation": "intraoperative", "after the operation": "postprocedural|postoperative",
        "wound opened again": "disruption|dehiscence", "trouble with a transplant": "transplant*|graft*|@T86",
    }),
    "lesion": Kind("process", {
        "abscess": "abscess*|!without", "cyst": "cyst|cysts", "fistula": "fistula*",
        "narrowing": "stenosis|stricture*", "bleeding": "hemorrhage*|bleeding|!without", "wasting": "atroph*",
        "ulcer": "ulcer*|!without", "death of tissue": "necrosis|osteonecrosis|gangrene|!without",
        "lack of something": "deficien*", "herniation": "hernia*", "tissue starved of blood": "infarct*|!without",
        "obstruction": "obstruct*|occlusion*|!without", "rupture": "rupture*|tear|!without",
        "swelling": "edema*|swelling", "clot": "thrombo*|embol*", "stone": "calcul*|stone*|*lithiasis",
        "inflammation": "inflammat*|!without", "growth in size": "hypertroph*|hyperplas*", "new growth": "neoplasm*",
    }),
    "organ": Kind("inner organ", {
        "heart": "heart|cardiac|myocard*", "lung": "lung*|pulmon*", "liver": "liver|hepat*",
        "kidney": "kidney*|renal|nephr*", "brain": "brain|cerebr*", "stomach": "stomach|gastr*",
        "bowel": "intestin*|colon|bowel|enter*", "bladder": "bladder", "pancreas": "pancrea*", "thyroid": "thyroid*",
        "gallbladder": "gallbladder|chole*|bile", "spleen": "spleen|splen*",
    }),
    "field": Kind("field of medicine", {
        "infectious disease": "@A|@B", "cancer and other tumors": "@C|@D0|@D1|@D2|@D3|@D4",
        "disease of the blood": "@D5|@D6|@D7|@D8", "disease of hormones and metabolism": "@E",
        "disorder of the mind": "@F", "disease of the nerves": "@G", "disease of the eye": "@H0|@H1|@H2|@H3|@H4|@H5",
        "disease of the ear": "@H6|@H7|@H8|@H9", "disease of the circulation": "@I", "disease of breathing": "@J",
        "disease of digestion": "@K", "disease of the skin": "@L", "disease of bones and muscles": "@M",
        "disease of urinary and genital organs": "@N", "pregnancy and birth": "@O", "trouble of the newborn": "@P",
        "malformation at birth": "@Q", "symptom and finding": "@R", "injury of a body part": "@S",
        "poisoning and toxic effect": "@T3|@T4|@T5|@T6", "accident as outside cause": "@V|@W|@X",
        "reason to see a doctor without disease": "@Z",
    }),
    "visit": Kind("encounter", _same(
        "initial encounter", "subsequent encounter", "sequela",
    ), "visits"),
    "healing": Kind("healing of a fracture", _same(
        "routine healing", "delayed healing", "nonunion", "malunion",
    ), "visits"),
    "opening": Kind("closed or open fracture", {
        "closed fracture": "closed fracture", "open fracture of type I and II": "type i or ii",
        "open fracture of type III": "type iiia iiib or iiic", "open fracture": "open fracture|!type*",
    }, "visits"),
}  # fmt: skip
