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
        self.form = self.plan.form("");
        self.sending = ko.observable(false);
        self.error = ko.observable();

        self.photo = self.photos.selected;
        self.visible = ko.pureComputed(() => !!self.photo() && self.photo().usable() && shared.mayCreate());

        self.nameInvalid = ko.pureComputed(() => !self.name().trim());
        self.canCreate = ko.pureComputed(
            () => self.visible() && !self.sending() && self.form.valid() && !self.nameInvalid()
        );

        self.photo.subscribe((photo) => {
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
                    name: self.name().trim(),
                    settings: _.extend({style: self.style(), orientation: self.orientation()}, self.form.settings()),
                    slicing: self.form.slicing()
                })
                .done((sculpture) => {
                    self.sculptures.put(sculpture);
                    self.photos.selected(undefined);
                    shared.announce(_.sprintf(gettext("“%(name)s” is in the making."), {name: sculpture.name}));
                    self.sculptures.focus(sculpture.id);
                })
                .fail((request) => self.error(shared.texts.ofRequest(request)))
                .always(() => self.sending(false));
        };

        self.close = () => self.photos.selected(undefined);

        self.openProfiles = () => self.profiles.open(self.form);

        // The settings' height and profile, until the user chose others.
        self._useDefaults = () => {
            if (shared.status() && self.plan.profiles().length && !self.visible()) self.form.load({}, {});
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
