/* The form that orders a sculpture of the selected photo. */
$(function () {
    function FacesculptNewViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        self.photos = parameters[1];
        self.sculptures = parameters[2];
        self.plan = parameters[3];
        self.profiles = parameters[4];

        self.name = ko.observable("");
        self.style = ko.observable("bust");
        self.orientation = ko.observable("auto");
        self.expression = ko.observable(1);
        self.detail = ko.observable(1);
        self.hair = ko.observable(true);
        self.form = self.plan.form("");
        self.poses = ko.pureComputed(() => shared.texts.poseChoices(self.style()));
        self.style.subscribe((style) => {
            self.form.style(style);
            if (!self.poses().some((pose) => pose.key === self.orientation())) self.orientation("auto");
        });
        self.sending = ko.observable(false);
        self.error = ko.observable();

        self.photo = self.photos.selected;
        self.visible = ko.pureComputed(() => !!self.photo() && self.photo().usable() && shared.mayCreate());

        self.nameInvalid = ko.pureComputed(() => !self.name().trim());
        self.canCreate = ko.pureComputed(
            () => self.visible() && !self.sending() && self.form.valid() && !self.nameInvalid()
        );

        // Further photos of the same person: what each shows of him is added up.
        self.others = ko.observableArray([]);
        self.mostOthers = () => ((shared.status() || {}).limits || {}).photos - 1;
        self.furtherPhotos = ko.pureComputed(() =>
            self.photos.photos().filter((photo) => photo.usable() && photo !== self.photo())
        );
        self.faceOf = (photo) => {
            const other = self.others().find((one) => one.photo === photo.id);
            return other && other.face;
        };
        // A click takes a photo, further clicks its next faces, and the last one leaves it out again.
        self.nextFace = (photo) => {
            const face = self.faceOf(photo);
            const next = face === undefined ? 0 : face + 1;
            if (face === undefined && !(self.others().length < self.mostOthers())) return;
            const rest = self.others().filter((one) => one.photo !== photo.id);
            self.others(next < photo.faces().length ? rest.concat({photo: photo.id, face: next}) : rest);
        };
        self.furtherText = (photo) => {
            const face = self.faceOf(photo);
            if (face === undefined) return photo.name();
            return photo.faces().length > 1 ? photo.faces()[face].label : gettext("Shows the same person");
        };
        self.furtherPhotos.subscribe((photos) => {
            const known = self.others().filter((one) => photos.some((photo) => photo.id === one.photo));
            if (known.length < self.others().length) self.others(known);
        });

        self.photo.subscribe((photo) => {
            self.others([]);
            self.error(undefined);
            // "grandma_1962.jpg" is a name somebody gave; it only has to lose its suffix and underscores.
            if (photo) self.name(photo.name().replace(/\.[A-Za-z0-9]{1,5}$/, "").replace(/_+/g, " ").trim());
        });

        self.create = () => {
            if (!self.canCreate()) return;
            self.sending(true);
            self.error(undefined);
            OctoPrint.plugins.facesculpt
                .createSculpture({
                    photo: self.photo().id,
                    face: self.photos.face(),
                    others: self.others(),
                    name: self.name().trim(),
                    settings: _.extend(
                        {
                            style: self.style(),
                            orientation: self.orientation(),
                            expression: self.expression(),
                            detail: self.detail(),
                            hair: self.hair()
                        },
                        self.form.settings()
                    ),
                    slicing: self.form.slicing()
                })
                .done((sculpture) => {
                    self.sculptures.put(sculpture);
                    self.photos.selected(undefined);
                    shared.announce(_.sprintf(gettext("“%(name)s” is in the making."), {name: sculpture.name}));
                    self.sculptures.focus(sculpture.id);
                })
                .fail((request) => self.error(shared.errors.ofRequest(request)))
                .always(() => self.sending(false));
        };

        self.close = () => {
            const {id} = self.photo();
            self.photos.selected(undefined);
            self.photos.focus(id);
        };

        self.openProfiles = () => self.profiles.open(self.form);

        // The settings' height and profile, until the user chose others.
        self._useDefaults = () => {
            if (shared.status() && self.plan.profiles().length && !self.visible()) {
                self.form.load({style: self.style()}, {});
            }
        };
        shared.status.subscribe(self._useDefaults);
        self.plan.profiles.subscribe(self._useDefaults);
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptNewViewModel,
        dependencies: [
            "facesculptViewModel",
            "facesculptPhotosViewModel",
            "facesculptSculpturesViewModel",
            "facesculptPlanViewModel",
            "facesculptProfilesViewModel"
        ],
        elements: ["#facesculpt_new"]
    });
});
